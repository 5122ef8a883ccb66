/**
 * What a node owns against what the state says. Level, not edge: a report that was lost is made again, because the
 * difference is still there; one that comes twice finds none.
 */
import type { RunnerId, TaskId } from '../../shared/ids.js';
import { apply } from '../apply.js';
import type { ControlEvent } from '../events.js';
import { tasksIn } from '../instances.js';
import { wishOf } from '../metaInstanceView.js';
import type { ClusterState, NodeFact, RunnerFact, TaskRecord, TaskStatus } from '../state.js';
import type { Facts, FinishedTask, WishFact } from './messages.js';

/** What the node knows at first hand. */
export interface OwnFacts {
  readonly node: NodeFact;
  readonly runners: ReadonlyMap<RunnerId, RunnerFact>;
  /** Requests of clients of this node, by task; null while it is not known where they run. */
  readonly openTasks: ReadonlyMap<TaskId, TaskRecord | null>;
  /** How requests ended that the state may not know of. */
  readonly endedTasks: ReadonlyMap<TaskId, Exclude<TaskStatus, 'running'>>;
}

export const NO_FACTS: Facts = {
  node: null,
  instances: [],
  deletedInstances: [],
  metaInstances: [],
  deletedMetaInstances: [],
  runners: [],
  openTasks: [],
  finishedTasks: [],
};

/** Everything, for a master whose state may be another one than ours. */
export function allFacts(state: ClusterState, own: OwnFacts): Facts {
  return {
    node: own.node,
    instances: [...state.instances.values()],
    deletedInstances: state.deletedInstances,
    metaInstances: wishes(state),
    deletedMetaInstances: state.deletedMetaInstances,
    runners: [...own.runners.values()],
    openTasks: [...own.openTasks.values()].filter((task) => task !== null),
    finishedTasks: finishedTasks(state, own),
  };
}

/** What the state has wrong or does not have; null when it is right. */
export function factsToReport(state: ClusterState, own: OwnFacts): Facts | null {
  const isNewcomer = isNodeNews(state, own.node);
  const facts: Facts = {
    ...NO_FACTS,
    node: isNewcomer ? own.node : null,
    runners: [...own.runners.values()].filter((runner) => isNews(state, runner)),
    openTasks: [...own.openTasks.values()].filter(
      // The state takes no task of an earlier life: to tell of it again and again would be in vain.
      (task) => task !== null && isUnknown(state, task) && (isNewcomer || isOwnerThere(state, task)),
    ) as TaskRecord[],
    finishedTasks: finishedTasks(state, own),
  };
  const isRight =
    facts.node === null &&
    facts.runners.length === 0 &&
    facts.openTasks.length === 0 &&
    facts.finishedTasks.length === 0;
  return isRight ? null : facts;
}

/** The events that bring these facts of a node into the state; those that it has already make none. */
export function eventsFor(before: ClusterState, facts: Facts): ControlEvent[] {
  const events: ControlEvent[] = [];
  let state = before;
  const add = (event: ControlEvent) => {
    events.push(event);
    state = apply(state, event);
  };
  const { node } = facts;
  if (node !== null && isNodeNews(state, node)) add({ kind: 'NodeJoined', node });
  for (const instanceId of facts.deletedInstances) {
    if (!state.deletedInstances.includes(instanceId)) add({ kind: 'InstanceDeleted', instanceId });
  }
  for (const metaInstanceId of facts.deletedMetaInstances) {
    if (!state.deletedMetaInstances.includes(metaInstanceId))
      add({ kind: 'MetaInstanceDeleted', metaInstanceId });
  }
  for (const wish of facts.metaInstances) {
    const { metaInstanceId } = wish.metaInstance;
    if (state.metaInstances.has(metaInstanceId) || state.deletedMetaInstances.includes(metaInstanceId))
      continue;
    add({ kind: 'MetaInstanceCreated', ...wish });
  }
  for (const instance of facts.instances) {
    const { instanceId, metaInstanceId } = instance;
    if (state.instances.has(instanceId) || state.deletedInstances.includes(instanceId)) continue;
    if (metaInstanceId !== null && state.deletedMetaInstances.includes(metaInstanceId)) continue;
    add({ kind: 'InstanceCreated', instance });
  }
  for (const runner of facts.runners) if (isNews(state, runner)) add({ kind: 'RunnerStatusChanged', runner });
  for (const task of facts.openTasks) {
    if (isUnknown(state, task) && isOwnerThere(state, task)) add({ kind: 'TaskAssigned', task });
  }
  for (const finished of facts.finishedTasks) {
    const isRunning = state.tasks.get(finished.instanceId)?.has(finished.taskId) ?? false;
    if (isRunning) add({ kind: 'TaskFinished', ...finished });
  }
  return events;
}

function wishes({ metaInstances, modelShapes }: ClusterState): WishFact[] {
  return [...metaInstances.values()].flatMap((record) => {
    const shape = modelShapes.get(record.modelId);
    return shape === undefined ? [] : [{ metaInstance: wishOf(record), shape, createdAt: record.createdAt }];
  });
}

function finishedTasks(state: ClusterState, own: OwnFacts): FinishedTask[] {
  const finished: FinishedTask[] = [];
  for (const { taskId, instanceId, apiNodeId } of tasksIn(state)) {
    if (apiNodeId !== own.node.nodeId || own.openTasks.has(taskId)) continue;
    finished.push({ taskId, instanceId, status: own.endedTasks.get(taskId) ?? 'failed' });
  }
  return finished;
}

/** A node of an earlier life is not: the state would not take it. */
function isNodeNews(state: ClusterState, node: NodeFact): boolean {
  const known = state.nodes.get(node.nodeId);
  if (known === undefined) return true;
  return known.incarnation <= node.incarnation && (known.status === 'dead' || !isSameNode(known, node));
}

function isNews(state: ClusterState, fact: RunnerFact): boolean {
  const known = state.runners.get(fact.runnerId);
  if (known === undefined || known.incarnation > fact.incarnation) return false;
  return known.incarnation < fact.incarnation || known.sequence < fact.sequence;
}

/** A task that the state has as ended stays so: its end was decided while we were away. */
function isUnknown(state: ClusterState, task: TaskRecord): boolean {
  if (state.tasks.get(task.instanceId)?.has(task.taskId)) return false;
  if (!state.instances.has(task.instanceId)) return false;
  return !state.finishedTasks.some(({ taskId }) => taskId === task.taskId);
}

/** A task of a node that is gone, or of an earlier life of it, would never end: nobody is there to say so. */
export function isOwnerThere(
  state: ClusterState,
  { apiNodeId, apiIncarnation }: Pick<TaskRecord, 'apiNodeId' | 'apiIncarnation'>,
): boolean {
  const owner = state.nodes.get(apiNodeId);
  return owner !== undefined && owner.status !== 'dead' && owner.incarnation === apiIncarnation;
}

function isSameNode(a: NodeFact, b: NodeFact): boolean {
  return (
    a.incarnation === b.incarnation &&
    a.name === b.name &&
    a.memoryBytes === b.memoryBytes &&
    a.isDraining === b.isDraining &&
    a.models.length === b.models.length &&
    a.models.every((model, index) => model === b.models[index]) &&
    a.addresses.length === b.addresses.length &&
    a.addresses.every((address, index) => address === b.addresses[index])
  );
}
