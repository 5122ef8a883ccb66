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
  // A sibling on a node that is gone will never say that it has ended.
  const hasEnded = ({ status, nodeId }: RunnerRecord) => isTerminal(status) || isNodeGone(state, nodeId);
  if (!runners.every(hasEnded)) return [];
  const { instanceId, attempt } = instance;
  const isLast = attempt > LIMITS.instanceRetries;
  const nextAttemptAt = isLast ? null : now + attemptDelayMs(attempt, instanceId);
  return [
    { kind: 'InstanceFailed', instanceId, attempt, failure: failureOf(state, culprit, now), nextAttemptAt },
  ];
}

function failureOf(state: ClusterState, { nodeId, error }: RunnerRecord, at: number): InstanceFailure {
  const name = state.nodes.get(nodeId)?.name ?? nodeId;
  const phase = error === null ? '' : ` while it was ${error.phase}`;
  return { at, nodeId, message: `${name}: ${error?.message ?? 'the runner failed'}${phase}` };
}

function goOn(state: ClusterState, instance: InstanceRecord, now: number): ControlEvent[] {
  const { instanceId, attempt, shards, failure, metaInstanceId } = instance;
  if (attempt > LIMITS.instanceRetries) {
    const avoid = failure?.nodeId ?? null;
    return [{ kind: 'InstanceDeleted', instanceId, ...(avoid === null ? {} : { avoid }) }];
  }
  if (shards.some(({ nodeId }) => isNodeGone(state, nodeId))) return [];
  const nextAttempt =
    metaInstanceId === null ? null : (state.metaInstances.get(metaInstanceId)?.nextAttempt ?? null);
  return isDue(nextAttempt, now) ? [{ kind: 'InstanceRetrying', instanceId, attempt: attempt + 1 }] : [];
}
