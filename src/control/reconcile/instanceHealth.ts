/**
 * Instances of MetaInstances that failed: judged when one runner failed and the others have come to an end, counted
 * once, started anew where they are a few times, and then given up at that place (R25, R26).
 */
import { LIMITS } from '../../shared/limits.js';
import type { ControlEvent } from '../events.js';
import { isNodeGone, runnersOf } from '../instances.js';
import { isTerminal } from '../runnerLife.js';
import type { ClusterState, InstanceFailure, InstanceRecord, RunnerRecord } from '../state.js';
import { attemptDelayMs, isDue } from './backoff.js';
import type { Reconciler } from './contract.js';

export const instanceHealth: Reconciler = ({ state, now }) =>
  [...state.instances.values()].flatMap((instance) => {
    if (instance.metaInstanceId === null) return [];
    return instance.failure === null ? judge(state, instance, now) : goOn(state, instance, now);
  });

function judge(state: ClusterState, instance: InstanceRecord, now: number): ControlEvent[] {
  const runners = runnersOf(state, instance);
  const culprit = runners.find(({ status }) => status === 'failed');
  if (culprit === undefined) return [];
  // A sibling on a node that is gone never says that it has ended, nor does one that was not started: it waits (R32).
  const hasEnded = ({ status, sequence, nodeId }: RunnerRecord) =>
    isTerminal(status) || sequence === 0 || isNodeGone(state, nodeId);
  if (!runners.every(hasEnded)) return [];
  const { instanceId, attempt } = instance;
  const failures = failuresInARow(state, instance, 1);
  const isLast = failures > LIMITS.instanceRetries;
  const nextAttemptAt = isLast ? null : now + attemptDelayMs(failures, instanceId);
  return [
    { kind: 'InstanceFailed', instanceId, attempt, failure: failureOf(state, culprit, now), nextAttemptAt },
  ];
}

/**
 * Of this instance, since it last served for a healthy period or the user asked for another try.
 * @param uncounted failures that the MetaInstance does not know of yet
 */
function failuresInARow(
  state: ClusterState,
  { metaInstanceId, attempt }: InstanceRecord,
  uncounted: number,
): number {
  const owner = metaInstanceId === null ? undefined : state.metaInstances.get(metaInstanceId);
  return owner === undefined ? attempt : Math.min(attempt, owner.consecutiveFailures + uncounted);
}

function failureOf(state: ClusterState, { nodeId, error }: RunnerRecord, at: number): InstanceFailure {
  const name = state.nodes.get(nodeId)?.name ?? nodeId;
  return { at, nodeId, message: `${name}: ${error?.message ?? 'the runner failed'}` };
}

function goOn(state: ClusterState, instance: InstanceRecord, now: number): ControlEvent[] {
  const { instanceId, attempt, shards, failure, metaInstanceId } = instance;
  if (failuresInARow(state, instance, 0) > LIMITS.instanceRetries) {
    const avoid = failure?.nodeId ?? null;
    return [{ kind: 'InstanceDeleted', instanceId, ...(avoid === null ? {} : { avoid }) }];
  }
  if (shards.some(({ nodeId }) => isNodeGone(state, nodeId))) return [];
  const nextAttempt =
    metaInstanceId === null ? null : (state.metaInstances.get(metaInstanceId)?.nextAttempt ?? null);
  return isDue(nextAttempt, now) ? [{ kind: 'InstanceRetrying', instanceId, attempt: attempt + 1 }] : [];
}
