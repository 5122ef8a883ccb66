/**
 * What users want to run: each has one instance, made where it fits, made anew elsewhere when its node is lost or it
 * failed there for good, and explained when it cannot be (R22, R26 to R29, R31).
 */
import { TIMES } from '../../shared/limits.js';
import type { ControlEvent } from '../events.js';
import { instanceStatus, isNodeGone, runningTasks } from '../instances.js';
import type { Placement, PlacementRefusal } from '../placement/types.js';
import type { ClusterState, InstanceRecord, MetaInstanceRecord } from '../state.js';
import { attemptDelayMs, isDue } from './backoff.js';
import type { ReconcileInput, Reconciler } from './contract.js';
import { circumstances, instanceOf, placeWish } from './placing.js';

/** One decision at a time: the next one is made on the state with this one, so that no memory is given twice. */
export const metaInstances: Reconciler = (input) => {
  for (const metaInstance of input.state.metaInstances.values()) {
    const events = decide(input, metaInstance);
    if (events.length > 0) return events;
  }
  return [];
};

function decide(input: ReconcileInput, metaInstance: MetaInstanceRecord): ControlEvent[] {
  const [first, ...others] = instancesOf(input.state, metaInstance);
  if (first === undefined) return metaInstance.hasFailed ? [] : make(input, metaInstance);
  return [
    ...dropSurplus(input.state, others),
    ...watchService(input, metaInstance, first),
    ...(others.length > 0 ? [] : replaceLost(input, metaInstance, first)),
  ];
}

/** The one to keep first: ready before one that may become so, busy before idle, then by id. */
function instancesOf(state: ClusterState, { metaInstanceId }: MetaInstanceRecord): InstanceRecord[] {
  const rank = (instance: InstanceRecord) => {
    const status = instanceStatus(state, instance);
    return status === 'ready' ? 0 : status === 'starting' ? 1 : 2;
  };
  return [...state.instances.values()]
    .filter((instance) => instance.metaInstanceId === metaInstanceId)
    .sort(
      (a, b) =>
        rank(a) - rank(b) ||
        runningTasks(state, b.instanceId) - runningTasks(state, a.instanceId) ||
        (a.instanceId < b.instanceId ? -1 : 1),
    );
}

/** Two sides of a partition may have made one each. What still answers somebody may finish. */
function dropSurplus(state: ClusterState, surplus: readonly InstanceRecord[]): ControlEvent[] {
  return surplus
    .filter(({ instanceId }) => runningTasks(state, instanceId) === 0)
    .map(({ instanceId }) => ({ kind: 'InstanceDeleted', instanceId }));
}

function watchService(
  { state, now }: ReconcileInput,
  { metaInstanceId, servedSince, consecutiveFailures }: MetaInstanceRecord,
  instance: InstanceRecord,
): ControlEvent[] {
  const isReady = instanceStatus(state, instance) === 'ready';
  if (!isReady)
    return servedSince === null ? [] : [{ kind: 'MetaInstanceServed', metaInstanceId, since: null }];
  // A clock that was set back would make the period endless.
  if (servedSince === null || servedSince > now)
    return [{ kind: 'MetaInstanceServed', metaInstanceId, since: now }];
  const isHealthy = now - servedSince >= TIMES.healthyMs;
  return isHealthy && consecutiveFailures > 0 ? [{ kind: 'MetaInstanceRecovered', metaInstanceId }] : [];
}

/** Its node is waited for, for a while; longer when there is no other place: then it goes on when the node is back. */
function replaceLost(
  input: ReconcileInput,
  metaInstance: MetaInstanceRecord,
  instance: InstanceRecord,
): ControlEvent[] {
  const { state, now } = input;
  const lost = instance.shards.map(({ nodeId }) => nodeId).filter((nodeId) => isNodeGone(state, nodeId));
  const isWaitedFor = lost.every((nodeId) => {
    const since = state.nodes.get(nodeId)?.statusSince ?? 0;
    return since <= now && now - since < TIMES.nodeLossGraceMs;
  });
  if (lost.length === 0 || isWaitedFor || !isWorthATry(input, metaInstance)) return [];
  const result = tryToPlace(input, metaInstance, instance);
  if (result.kind === 'refused') return refused(input, metaInstance, result);
  return [
    { kind: 'InstanceDeleted', instanceId: instance.instanceId },
    { kind: 'InstanceCreated', instance: instanceOf(input, metaInstance, result) },
  ];
}

function make(input: ReconcileInput, metaInstance: MetaInstanceRecord): ControlEvent[] {
  if (!isWorthATry(input, metaInstance)) return [];
  const result = tryToPlace(input, metaInstance, null);
  if (result.kind === 'placed') {
    return [{ kind: 'InstanceCreated', instance: instanceOf(input, metaInstance, result) }];
  }
  const model = input.state.modelShapes.get(metaInstance.modelId);
  const hadAPlace = metaInstance.avoidedNodes.length > 0 && model !== undefined;
  if (hadAPlace && placeWish(input, metaInstance, model).kind === 'placed') {
    // Only where it has failed again and again would it fit.
    return [{ kind: 'MetaInstanceFailed', metaInstanceId: metaInstance.metaInstanceId }];
  }
  return refused(input, metaInstance, result);
}

function isWorthATry(input: ReconcileInput, metaInstance: MetaInstanceRecord): boolean {
  const { placementProblem, nextAttempt } = metaInstance;
  if (placementProblem === null) return true;
  return isDue(nextAttempt, input.now) || placementProblem.circumstances !== circumstances(input);
}

function tryToPlace(
  input: ReconcileInput,
  metaInstance: MetaInstanceRecord,
  instead: InstanceRecord | null,
): Placement | PlacementRefusal {
  const model = input.state.modelShapes.get(metaInstance.modelId);
  if (model === undefined) {
    const message = `Nothing is known of the model ${metaInstance.modelId}: no node with its files has told of it.`;
    return { kind: 'refused', code: 'no_nodes', message, canFitLater: true, nodes: [] };
  }
  return placeWish(input, metaInstance, model, {
    without: metaInstance.avoidedNodes,
    ...(instead === null ? {} : { instead: instead.instanceId }),
  });
}

function refused(
  input: ReconcileInput,
  { metaInstanceId, placementProblem }: MetaInstanceRecord,
  { message, nodes }: PlacementRefusal,
): ControlEvent[] {
  const { now } = input;
  const count = (placementProblem?.count ?? 0) + 1;
  const problem = {
    at: now,
    message,
    count,
    nodes: nodes.map(({ nodeId, name, reason }) => ({ nodeId, name, reason })),
    circumstances: circumstances(input),
  };
  const nextAttemptAt = now + attemptDelayMs(count, metaInstanceId);
  return [{ kind: 'PlacementRefused', metaInstanceId, problem, nextAttemptAt }];
}
