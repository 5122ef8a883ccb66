/**
 * The reducer: `(state, event) → state`. Total and pure. An event about something that is no longer there, or that
 * is older than what is known, changes nothing but the index, so that late and repeated reports are harmless.
 */
import type { NodeId } from '../shared/ids.js';
import { LIMITS } from '../shared/limits.js';
import { instanceCreated, instanceDeleted, instanceFailed, instanceRetrying } from './applyInstance.js';
import {
  changeMetaInstance,
  metaInstanceCreated,
  metaInstanceDeleted,
  metaInstanceServed,
  UNTRIED,
} from './applyMetaInstance.js';
import { endTasks, taskAssigned, taskFinished } from './applyTask.js';
import type { ControlEvent } from './events.js';
import { withEntry, without } from './maps.js';
import type { ClusterState, NodeFact, NodeStatus, RunnerFact, RunnerRecord } from './state.js';

export function apply(state: ClusterState, event: ControlEvent): ClusterState {
  return { ...state, ...change(state, event), index: state.index + 1 };
}

function change(state: ClusterState, event: ControlEvent): Partial<ClusterState> {
  switch (event.kind) {
    case 'MasterElected':
      return { term: Math.max(state.term, event.term), masterNodeId: event.nodeId };
    case 'NodeJoined':
      return nodeJoined(state, event.node);
    case 'NodeStatusChanged':
      return nodeStatusChanged(state, event.nodeId, event.status, event.at);
    case 'NodeForgotten':
      return nodeForgotten(state, event.nodeId);
    case 'InstanceCreated':
      return instanceCreated(state, event.instance);
    case 'InstanceDeleted':
      return instanceDeleted(state, event.instanceId, event.avoid);
    case 'InstanceFailed':
      return instanceFailed(state, event);
    case 'InstanceRetrying':
      return instanceRetrying(state, event);
    case 'MetaInstanceCreated':
      return metaInstanceCreated(state, event);
    case 'MetaInstanceDeleted':
      return metaInstanceDeleted(state, event.metaInstanceId);
    case 'MetaInstanceRetried':
      return changeMetaInstance(state, event.metaInstanceId, () => UNTRIED);
    case 'PlacementRefused':
      return changeMetaInstance(state, event.metaInstanceId, () => ({
        placementProblem: event.problem,
        nextAttempt: { at: event.nextAttemptAt, saidAt: event.problem.at },
      }));
    case 'MetaInstanceFailed':
      return changeMetaInstance(state, event.metaInstanceId, () => ({ hasFailed: true, nextAttempt: null }));
    case 'MetaInstanceServed':
      return metaInstanceServed(state, event);
    case 'MetaInstanceSurplus':
      return changeMetaInstance(state, event.metaInstanceId, () => ({ surplusSince: event.since }));
    case 'MetaInstanceRecovered':
      return changeMetaInstance(state, event.metaInstanceId, () => ({
        consecutiveFailures: 0,
        errors: [],
        avoidedNodes: [],
      }));
    case 'RunnerStatusChanged':
      return runnerStatusChanged(state, event.runner);
    case 'TaskAssigned':
      return taskAssigned(state, event.task);
    case 'TaskFinished':
      return taskFinished(state, event);
  }
}

/** A node in a new life has no runner and no request of the one before. */
function nodeJoined(before: ClusterState, node: NodeFact): Partial<ClusterState> {
  const known = before.nodes.get(node.nodeId);
  if (known !== undefined && known.incarnation > node.incarnation) return {};
  const state = known === undefined ? withRoom(before) : before;
  const joined = {
    ...state,
    nodes: withEntry(state.nodes, node.nodeId, {
      ...node,
      status: 'alive' as const,
      statusSince: known?.statusSince ?? 0,
    }),
  };
  if (known === undefined || known.incarnation === node.incarnation) return joined;
  const runners = new Map(state.runners);
  for (const runner of state.runners.values()) {
    if (runner.nodeId !== node.nodeId || runner.incarnation >= node.incarnation) continue;
    // No life of the node has spoken of it: it stays known as never begun.
    if (runner.incarnation === 0 && runner.sequence === 0) continue;
    const { incarnation } = node;
    const unborn = { status: 'spawned', pid: null, restartAt: null, incarnation, sequence: 0 } as const;
    runners.set(runner.runnerId, { ...runner, ...unborn });
  }
  return {
    ...joined,
    ...endTasks(
      { ...state, runners },
      (task) => task.apiNodeId === node.nodeId && task.apiIncarnation < node.incarnation,
      'failed',
    ),
    runners,
  };
}

/** Machines that come once and never again must not fill the list, which every pulse names: who is dead for longest goes. */
function withRoom(state: ClusterState): ClusterState {
  if (state.nodes.size < LIMITS.peers) return state;
  const hosts = new Set(
    [...state.instances.values()].flatMap(({ shards }) => shards.map(({ nodeId }) => nodeId)),
  );
  const [longest] = [...state.nodes.values()]
    .filter(({ status }) => status === 'dead')
    .sort(
      (a, b) =>
        Number(hosts.has(a.nodeId)) - Number(hosts.has(b.nodeId)) ||
        a.statusSince - b.statusSince ||
        (a.nodeId < b.nodeId ? -1 : 1),
    );
  return longest === undefined ? state : { ...state, ...nodeForgotten(state, longest.nodeId) };
}

function nodeStatusChanged(
  state: ClusterState,
  nodeId: NodeId,
  status: NodeStatus,
  statusSince: number,
): Partial<ClusterState> {
  const node = state.nodes.get(nodeId);
  if (node === undefined || node.status === status) return {};
  const nodes = withEntry(state.nodes, nodeId, { ...node, status, statusSince });
  if (status !== 'dead') return { nodes };
  return { nodes, ...endTasks(state, (task) => task.apiNodeId === nodeId, 'failed') };
}

function nodeForgotten(state: ClusterState, nodeId: NodeId): Partial<ClusterState> {
  if (state.nodes.get(nodeId)?.status !== 'dead') return {};
  let left: ClusterState = { ...state, nodes: without(state.nodes, nodeId) };
  for (const instance of state.instances.values()) {
    if (!instance.shards.some((shard) => shard.nodeId === nodeId)) continue;
    left = { ...left, ...instanceDeleted(left, instance.instanceId) };
  }
  return left;
}

function runnerStatusChanged(state: ClusterState, fact: RunnerFact): Partial<ClusterState> {
  const runner = state.runners.get(fact.runnerId);
  if (runner === undefined || !isNewer(fact, runner)) return {};
  return { runners: withEntry(state.runners, runner.runnerId, { ...runner, ...fact }) };
}

function isNewer(fact: RunnerFact, known: RunnerRecord): boolean {
  if (fact.incarnation !== known.incarnation) return fact.incarnation > known.incarnation;
  return fact.sequence > known.sequence;
}
