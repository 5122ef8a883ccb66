/**
 * Instances that failed, counted once, started anew where they are a few times, and then given up at that place (R25,
 * R26). What nobody declared is started anew by the same policy as a single runner, all its ranks together (R48).
 */
import { LIMITS, TIMES } from '../../shared/limits.js';
import type { ControlEvent } from '../events.js';
import { isNodeGone, restartsAsWhole, runnersOf } from '../instances.js';
import { RESTART_POLICY, restartsInARow } from '../restartPolicy.js';
import type { ClusterState, InstanceFailure, InstanceRecord } from '../state.js';
import { attemptFailure, isStartedAnew, lostLinkOf } from './attemptFailure.js';
import { attemptDelayMs, isDue } from './backoff.js';
import type { ReconcileInput, Reconciler } from './contract.js';

export const instanceHealth: Reconciler = (input) =>
  [...input.state.instances.values()].flatMap((instance) => {
    if (!restartsAsWhole(instance)) return [];
    if (instance.failure === null) return judge(input, instance);
    return instance.metaInstanceId === null ? goOnPlain(input, instance) : goOn(input, instance);
  });

function judge(input: ReconcileInput, instance: InstanceRecord): ControlEvent[] {
  const verdict = attemptFailure(input, instance);
  if (verdict === null) return [];
  const { instanceId, attempt } = instance;
  const failure = { at: input.now, ...verdict };
  return [
    {
      kind: 'InstanceFailed',
      instanceId,
      attempt,
      failure,
      nextAttemptAt: nextAttemptAt(input, instance, failure),
    },
  ];
}

/** Null when there shall be none. */
function nextAttemptAt(
  { state, now }: ReconcileInput,
  instance: InstanceRecord,
  { isExcused = false }: InstanceFailure,
): number | null {
  const { instanceId, metaInstanceId } = instance;
  const [failures, most] =
    metaInstanceId === null
      ? [restartsInARow(runnersOf(state, instance)) + 1, RESTART_POLICY.maxRestarts]
      : [failuresInARow(state, instance, isExcused ? 'excused' : 'counted'), LIMITS.instanceRetries];
  return failures > most ? null : now + attemptDelayMs(Math.max(1, failures), instanceId);
}

/**
 * Of this instance, since it last served for a healthy period or the user asked for another try. What is excused is none.
 * @param present what the failure of this attempt is, of which the state does not know yet
 */
function failuresInARow(
  state: ClusterState,
  { metaInstanceId, attempt, excused }: InstanceRecord,
  present: 'known' | 'excused' | 'counted',
): number {
  const own = attempt - excused - (present === 'excused' ? 1 : 0);
  const owner = metaInstanceId === null ? undefined : state.metaInstances.get(metaInstanceId);
  const uncounted = present === 'counted' ? 1 : 0;
  return owner === undefined ? own : Math.min(own, owner.consecutiveFailures + uncounted);
}

function goOn(input: ReconcileInput, instance: InstanceRecord): ControlEvent[] {
  const { state, now } = input;
  const { instanceId, attempt, failure, metaInstanceId } = instance;
  if (failuresInARow(state, instance, 'known') > LIMITS.instanceRetries) {
    const avoid = failure?.nodeId ?? null;
    return [{ kind: 'InstanceDeleted', instanceId, ...(avoid === null ? {} : { avoid }) }];
  }
  // Without this link it cannot run here; made anew, it goes where there is a way, or waits for one and says so.
  if (lostLinkOf(input, instance, TIMES.linkLossConfirmMs + TIMES.nodeLossGraceMs) !== null) {
    return [{ kind: 'InstanceDeleted', instanceId }];
  }
  if (!canStart(input, instance)) return [];
  const nextAttempt =
    metaInstanceId === null ? null : (state.metaInstances.get(metaInstanceId)?.nextAttempt ?? null);
  return isDue(nextAttempt, now) ? [{ kind: 'InstanceRetrying', instanceId, attempt: attempt + 1 }] : [];
}

function goOnPlain(input: ReconcileInput, instance: InstanceRecord): ControlEvent[] {
  const { instanceId, attempt, failure } = instance;
  const at = plainAttemptAt(input.state, instance);
  if (at === null || failure === null || !canStart(input, instance)) return [];
  const isTime = isDue({ at, saidAt: failure.at }, input.now);
  return isTime ? [{ kind: 'InstanceRetrying', instanceId, attempt: attempt + 1 }] : [];
}

/** Its runners keep it. A node that was started anew starts what it has anew, also past the last attempt. */
function plainAttemptAt(state: ClusterState, instance: InstanceRecord): number | null {
  const runners = runnersOf(state, instance);
  const said = runners.flatMap(({ restartAt }) => restartAt ?? []);
  if (said.length > 0) return Math.min(...said);
  const { instanceId, failure } = instance;
  const isAnew = failure !== null && runners.some(isStartedAnew);
  return isAnew ? failure.at + attemptDelayMs(1, instanceId) : null;
}

/** Are its nodes there, and the ways between them? */
function canStart(input: ReconcileInput, instance: InstanceRecord): boolean {
  return (
    lostLinkOf(input, instance, 0) === null &&
    !instance.shards.some(({ nodeId }) => isNodeGone(input.state, nodeId))
  );
}
