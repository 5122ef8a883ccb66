/** The reducer's part for instances and the attempts to run them. */
import type { InstanceId, NodeId, RunnerId } from '../shared/ids.js';
import { LIMITS } from '../shared/limits.js';
import { changeMetaInstance } from './applyMetaInstance.js';
import { endTasks } from './applyTask.js';
import type { ControlEvent } from './events.js';
import { runnersOf } from './instances.js';
import { withEntry, withNewest, without } from './maps.js';
import { restartsInARow } from './restartPolicy.js';
import type {
  ClusterState,
  InstanceFailure,
  InstanceRecord,
  MetaInstanceRecord,
  RunnerRecord,
} from './state.js';

type Event<Kind extends ControlEvent['kind']> = Extract<ControlEvent, { kind: Kind }>;

export function instanceCreated(state: ClusterState, instance: InstanceRecord): Partial<ClusterState> {
  const { instanceId, metaInstanceId } = instance;
  if (state.instances.has(instanceId) || state.deletedInstances.includes(instanceId)) return {};
  if (metaInstanceId !== null && state.deletedMetaInstances.includes(metaInstanceId)) return {};
  const wanted =
    metaInstanceId === null
      ? {}
      : changeMetaInstance(state, metaInstanceId, (wish) => ({
          placements: wish.placements + 1,
          placementProblem: null,
          nextAttempt: null,
          hasFailed: false,
          servedSince: null,
          // Another master has counted it in a state that gave way to this one.
          ...(instance.failure === null ? {} : counted(wish, instance.failure)),
        }));
  return {
    ...wanted,
    instances: withEntry(state.instances, instanceId, instance),
    runners: new Map([...state.runners, ...unbornRunners(instance)]),
  };
}

/** Remembered also when the instance is not there: a node that was away may still bring it. */
export function instanceDeleted(
  state: ClusterState,
  instanceId: InstanceId,
  avoid?: NodeId,
): Partial<ClusterState> {
  if (state.deletedInstances.includes(instanceId)) return {};
  const deletedInstances = withNewest(state.deletedInstances, [instanceId], LIMITS.deletedInstances);
  const instance = state.instances.get(instanceId);
  if (instance === undefined) return { deletedInstances };
  const instances = without(state.instances, instanceId);
  // What is said of another one stays.
  const isOnly = ![...instances.values()].some((other) => other.metaInstanceId === instance.metaInstanceId);
  return {
    ...(instance.metaInstanceId === null
      ? {}
      : changeMetaInstance(state, instance.metaInstanceId, ({ avoidedNodes }) => ({
          ...(isOnly ? { servedSince: null, nextAttempt: null } : {}),
          avoidedNodes: avoid === undefined ? avoidedNodes : [...new Set([...avoidedNodes, avoid])],
        }))),
    instances,
    runners: runnersWithout(state, instanceId),
    deletedInstances,
    ...endTasks(state, (task) => task.instanceId === instanceId, 'cancelled'),
  };
}

/** Once for each attempt: whoever saw it later, or again, changes nothing. */
export function instanceFailed(
  state: ClusterState,
  { instanceId, attempt, failure, nextAttemptAt }: Event<'InstanceFailed'>,
): Partial<ClusterState> {
  const instance = state.instances.get(instanceId);
  if (instance === undefined || instance.attempt !== attempt || instance.failure !== null) return {};
  const excused = instance.excused + (failure.isExcused === true ? 1 : 0);
  const instances = withEntry(state.instances, instanceId, { ...instance, failure, excused });
  if (instance.metaInstanceId === null) {
    // Nobody else keeps when it comes back: its runners do, as a runner does that is started anew by itself.
    const waiting = runnersOf(state, instance).map((runner) => ({ ...runner, restartAt: nextAttemptAt }));
    const runners = new Map(state.runners);
    for (const runner of waiting) runners.set(runner.runnerId, runner);
    return { instances, runners };
  }
  return {
    instances,
    ...changeMetaInstance(state, instance.metaInstanceId, (wish) => ({
      ...counted(wish, failure),
      servedSince: null,
      nextAttempt: nextAttemptAt === null ? null : { at: nextAttemptAt, saidAt: failure.at },
    })),
  };
}

function counted(
  { consecutiveFailures, errors }: MetaInstanceRecord,
  failure: InstanceFailure,
): Pick<MetaInstanceRecord, 'consecutiveFailures' | 'errors'> {
  return {
    consecutiveFailures: consecutiveFailures + (failure.isExcused === true ? 0 : 1),
    errors: withNewest(errors, [failure], LIMITS.metaInstanceErrors),
  };
}

/** New runners with ids of their own: nothing that the last ones still say can be taken for theirs. */
export function instanceRetrying(
  state: ClusterState,
  { instanceId, attempt }: Event<'InstanceRetrying'>,
): Partial<ClusterState> {
  const instance = state.instances.get(instanceId);
  if (instance === undefined || attempt !== instance.attempt + 1) return {};
  const retried: InstanceRecord = {
    ...instance,
    attempt,
    failure: null,
    shards: instance.shards.map((shard) => ({
      ...shard,
      runnerId: runnerIdOf(instanceId, attempt, shard.rank),
    })),
  };
  return {
    instances: withEntry(state.instances, instanceId, retried),
    runners: new Map([
      ...runnersWithout(state, instanceId),
      ...unbornRunners(retried, runnersOf(state, instance)),
    ]),
    ...(instance.metaInstanceId === null
      ? {}
      : changeMetaInstance(state, instance.metaInstanceId, () => ({ nextAttempt: null }))),
    ...endTasks(state, (task) => task.instanceId === instanceId, 'failed'),
  };
}

/** The runner of an attempt of an instance that the master made. */
export function runnerIdOf(instanceId: InstanceId, attempt: number, rank: number): RunnerId {
  return `${instanceId}-${attempt}-${rank}` as RunnerId;
}

function runnersWithout(state: ClusterState, instanceId: InstanceId): Map<RunnerId, RunnerRecord> {
  return new Map([...state.runners].filter(([, runner]) => runner.instanceId !== instanceId));
}

/** @param before the runners of the attempt before: why they ended stays visible while these come up */
function unbornRunners(
  { instanceId, attempt, shards, metaInstanceId }: InstanceRecord,
  before: readonly RunnerRecord[] = [],
): [RunnerId, RunnerRecord][] {
  const isPlainRetry = metaInstanceId === null && before.length > 0;
  const restarts = isPlainRetry ? restartsInARow(before) + 1 : attempt - 1;
  return shards.map(({ runnerId, nodeId, rank }) => [
    runnerId,
    {
      runnerId,
      instanceId,
      nodeId,
      rank,
      incarnation: 0,
      sequence: 0,
      pid: null,
      status: 'spawned',
      restarts,
      restartAt: null,
      error: before.find((runner) => runner.rank === rank)?.error ?? null,
    },
  ]);
}
