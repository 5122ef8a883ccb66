/**
 * What users want to run: each has one instance, made where it fits, made anew elsewhere when its node is lost or it
 * failed there for good, and explained when it cannot be (R22, R26 to R29, R31).
 */
import { TIMES } from '../../shared/limits.js';
import type { ControlEvent } from '../events.js';
import { instanceStatus, isNodeGone, runningTasks } from '../instances.js';
import type { Placement, PlacementRefusal } from '../placement/types.js';
import type { ClusterState, InstanceRecord, MetaInstanceRecord } from '../state.js';
import { instancesOfWish } from '../wishInstances.js';
import { attemptDelayMs, isDue } from './backoff.js';
import type { ReconcileInput, Reconciler } from './contract.js';
import { circumstances, instanceOf, type PlacingOptions, placeWish } from './placing.js';

const FAILED_THERE = 'is not tried again: the model failed there again and again';

/** One decision at a time: the next one is made on the state with this one, so that no memory is given twice. */
export const metaInstances: Reconciler = (input) => {
  for (const metaInstance of input.state.metaInstances.values()) {
    const events = decide(input, metaInstance);
    if (events.length > 0) return events;
  }
  return [];
};

function decide(input: ReconcileInput, metaInstance: MetaInstanceRecord): ControlEvent[] {
  const { present, lost } = instancesOfWish(input.state, metaInstance.metaInstanceId);
  const [kept = null, ...surplus] = present;
  return [
    ...watchSurplus(input, metaInstance, surplus),
    ...dropSurplus(input, metaInstance, surplus),
    ...watchService(input, metaInstance, kept),
    ...(kept === null
      ? seekPlace(input, metaInstance, lost)
      : lost
          .filter((instance) => isInTheWay(input.state, instance) && isIdle(input.state, instance))
          .map(deleted)),
  ];
}

function watchSurplus(
  { now }: ReconcileInput,
  { metaInstanceId, surplusSince }: MetaInstanceRecord,
  surplus: readonly InstanceRecord[],
): ControlEvent[] {
  if (surplus.length === 0)
    return surplusSince === null ? [] : [{ kind: 'MetaInstanceSurplus', metaInstanceId, since: null }];
  // A clock that was set back would make it stay for ever.
  const isKnown = surplusSince !== null && surplusSince <= now;
  return isKnown ? [] : [{ kind: 'MetaInstanceSurplus', metaInstanceId, since: now }];
}

/** What still answers somebody may finish; of what serves, the nodes of those who ask may not have joined yet. */
function dropSurplus(
  { state, now }: ReconcileInput,
  { surplusSince }: MetaInstanceRecord,
  surplus: readonly InstanceRecord[],
): ControlEvent[] {
  const isOver = surplusSince !== null && now - surplusSince >= TIMES.surplusGraceMs;
  return surplus
    .filter((instance) => isIdle(state, instance))
    .filter((instance) => isOver || instanceStatus(state, instance) !== 'ready')
    .map(deleted);
}

const isIdle = (state: ClusterState, { instanceId }: InstanceRecord): boolean =>
  runningTasks(state, instanceId) === 0;

const deleted = ({ instanceId }: InstanceRecord): ControlEvent => ({ kind: 'InstanceDeleted', instanceId });

/** Half of it is here and serves nobody without the other half, but has memory. */
const isInTheWay = (state: ClusterState, { shards }: InstanceRecord): boolean =>
  shards.some(({ nodeId }) => !isNodeGone(state, nodeId));

function watchService(
  { state, now }: ReconcileInput,
  { metaInstanceId, servedSince, consecutiveFailures }: MetaInstanceRecord,
  kept: InstanceRecord | null,
): ControlEvent[] {
  const isReady = kept !== null && instanceStatus(state, kept) === 'ready';
  if (!isReady)
    return servedSince === null ? [] : [{ kind: 'MetaInstanceServed', metaInstanceId, since: null }];
  // A clock that was set back would make the period endless.
  if (servedSince === null || servedSince > now)
    return [{ kind: 'MetaInstanceServed', metaInstanceId, since: now }];
  const isHealthy = now - servedSince >= TIMES.healthyMs;
  return isHealthy && consecutiveFailures > 0 ? [{ kind: 'MetaInstanceRecovered', metaInstanceId }] : [];
}

function seekPlace(
  input: ReconcileInput,
  metaInstance: MetaInstanceRecord,
  lost: readonly InstanceRecord[],
): ControlEvent[] {
  if (metaInstance.hasFailed || lost.some((instance) => isWaitedFor(input, instance))) return [];
  return isWorthATry(input, metaInstance) ? makeInstead(input, metaInstance, lost) : [];
}

/** A node that is gone may be back soon. */
function isWaitedFor({ state, now }: ReconcileInput, { shards }: InstanceRecord): boolean {
  return shards.every(({ nodeId }) => {
    if (!isNodeGone(state, nodeId)) return true;
    const since = state.nodes.get(nodeId)?.statusSince ?? 0;
    return since <= now && now - since < TIMES.nodeLossGraceMs;
  });
}

/** The lost stay in the state where they are in nobody's way: clients on the far side of a cut may be served by them. */
function makeInstead(
  input: ReconcileInput,
  metaInstance: MetaInstanceRecord,
  lost: readonly InstanceRecord[],
): ControlEvent[] {
  const inTheWay = lost.filter((instance) => isInTheWay(input.state, instance));
  const instead = inTheWay.map(({ instanceId }) => instanceId);
  const result = tryToPlace(input, metaInstance, { instead, without: metaInstance.avoidedNodes });
  if (result.kind === 'placed') {
    const instance = instanceOf(input, metaInstance, result);
    return [...inTheWay.map(deleted), { kind: 'InstanceCreated', instance }];
  }
  const hadAPlace =
    metaInstance.avoidedNodes.length > 0 && tryToPlace(input, metaInstance, { instead }).kind === 'placed';
  // Only where it has failed again and again would it fit. What is lost may come back, and serve after all.
  if (hadAPlace && lost.length === 0) {
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
  options: PlacingOptions,
): Placement | PlacementRefusal {
  const model = input.state.modelShapes.get(metaInstance.modelId);
  if (model !== undefined) return placeWish(input, metaInstance, model, options);
  const message = `Nothing is known of the model ${metaInstance.modelId}: no node with its files has told of it.`;
  return { kind: 'refused', code: 'no_nodes', message, canFitLater: true, nodes: [] };
}

function refused(
  input: ReconcileInput,
  { metaInstanceId, placementProblem, avoidedNodes }: MetaInstanceRecord,
  { message, nodes }: PlacementRefusal,
): ControlEvent[] {
  const { now, state } = input;
  const count = (placementProblem?.count ?? 0) + 1;
  const problem = {
    at: now,
    message,
    count,
    nodes: [
      ...nodes
        .filter(({ nodeId }) => !avoidedNodes.includes(nodeId))
        .map(({ nodeId, name, reason }) => ({ nodeId, name, reason })),
      ...avoidedNodes.flatMap((nodeId) => {
        const name = state.nodes.get(nodeId)?.name;
        return name === undefined ? [] : [{ nodeId, name, reason: FAILED_THERE }];
      }),
    ],
    circumstances: circumstances(input),
  };
  const nextAttemptAt = now + attemptDelayMs(count, metaInstanceId);
  return [{ kind: 'PlacementRefused', metaInstanceId, problem, nextAttemptAt }];
}
