/** The reducer's part for what users want to run. Only they take it back. */
import type { MetaInstanceId } from '../shared/ids.js';
import { LIMITS } from '../shared/limits.js';
import { endTasks } from './applyTask.js';
import type { ControlEvent } from './events.js';
import { withEntry, withNewest, without } from './maps.js';
import type { ClusterState, MetaInstanceRecord } from './state.js';

type Event<Kind extends ControlEvent['kind']> = Extract<ControlEvent, { kind: Kind }>;

/** As if it had never been tried. */
export const UNTRIED = {
  consecutiveFailures: 0,
  errors: [],
  placementProblem: null,
  nextAttempt: null,
  hasFailed: false,
  avoidedNodes: [],
  servedSince: null,
} as const satisfies Partial<MetaInstanceRecord>;

export function metaInstanceCreated(
  state: ClusterState,
  { metaInstance, shape, createdAt }: Event<'MetaInstanceCreated'>,
): Partial<ClusterState> {
  const { metaInstanceId, modelId } = metaInstance;
  if (state.metaInstances.has(metaInstanceId) || state.deletedMetaInstances.includes(metaInstanceId))
    return {};
  return {
    metaInstances: withEntry(state.metaInstances, metaInstanceId, {
      ...metaInstance,
      ...UNTRIED,
      createdAt,
      placements: 0,
      surplusSince: null,
    }),
    modelShapes: withEntry(state.modelShapes, modelId, shape),
  };
}

/** Takes its instances and their tasks away with it. Remembered also when it is not there. */
export function metaInstanceDeleted(
  state: ClusterState,
  metaInstanceId: MetaInstanceId,
): Partial<ClusterState> {
  if (state.deletedMetaInstances.includes(metaInstanceId)) return {};
  const deletedMetaInstances = withNewest(
    state.deletedMetaInstances,
    [metaInstanceId],
    LIMITS.deletedMetaInstances,
  );
  const modelId = state.metaInstances.get(metaInstanceId)?.modelId;
  const metaInstances = without(state.metaInstances, metaInstanceId);
  const gone = [...state.instances.values()].filter((instance) => instance.metaInstanceId === metaInstanceId);
  const goneIds = new Set(gone.map(({ instanceId }) => instanceId));
  const isNeeded = [...metaInstances.values()].some((other) => other.modelId === modelId);
  return {
    metaInstances,
    deletedMetaInstances,
    modelShapes: isNeeded || modelId === undefined ? state.modelShapes : without(state.modelShapes, modelId),
    instances: new Map([...state.instances].filter(([instanceId]) => !goneIds.has(instanceId))),
    runners: new Map([...state.runners].filter(([, { instanceId }]) => !goneIds.has(instanceId))),
    deletedInstances: withNewest(state.deletedInstances, [...goneIds], LIMITS.deletedInstances),
    ...endTasks(state, ({ instanceId }) => goneIds.has(instanceId), 'cancelled'),
  };
}

/**
 * What is ready has a place and has not failed: what was said of it while its node was away is over. Another instance
 * of it may still wait for its next attempt.
 */
export function metaInstanceServed(
  state: ClusterState,
  { metaInstanceId, since }: Event<'MetaInstanceServed'>,
): Partial<ClusterState> {
  const isTriedAgain = [...state.instances.values()].some(
    (instance) => instance.metaInstanceId === metaInstanceId && instance.failure !== null,
  );
  return changeMetaInstance(state, metaInstanceId, ({ nextAttempt }) => ({
    servedSince: since,
    ...(since === null
      ? {}
      : { placementProblem: null, hasFailed: false, nextAttempt: isTriedAgain ? nextAttempt : null }),
  }));
}

/** Nothing, when it is not there any more. */
export function changeMetaInstance(
  state: ClusterState,
  metaInstanceId: MetaInstanceId,
  change: (metaInstance: MetaInstanceRecord) => Partial<MetaInstanceRecord>,
): Partial<ClusterState> {
  const metaInstance = state.metaInstances.get(metaInstanceId);
  if (metaInstance === undefined) return {};
  return {
    metaInstances: withEntry(state.metaInstances, metaInstanceId, {
      ...metaInstance,
      ...change(metaInstance),
    }),
  };
}
