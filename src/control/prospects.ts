/** Whether a model that nobody serves now may be served again without anybody's doing. */
import type { InstanceId, ModelId } from '../shared/ids.js';
import { instanceStatus, isNodeGone, runnersOf } from './instances.js';
import type { ClusterState, InstanceRecord } from './state.js';
import { instancesOfWish } from './wishInstances.js';

/**
 * A wish that has not failed for good is made come true; an instance of its own is restarted by its node, or waits for that.
 * @param leastContext context that it must have; what a wish has comes back as it is, and what it lacks may be as wished for
 */
export function hasProspect(state: ClusterState, modelId: ModelId, leastContext = 0): boolean {
  for (const wish of state.metaInstances.values()) {
    if (wish.modelId !== modelId || wish.hasFailed) continue;
    const { present, lost } = instancesOfWish(state, wish.metaInstanceId);
    const contexts = [...present, ...lost].map(({ contextLength }) => contextLength);
    const context = contexts.length > 0 ? Math.max(...contexts) : (wish.contextTokens ?? leastContext);
    if (context >= leastContext) return true;
  }
  for (const instance of state.instances.values()) {
    const { contextLength } = instance;
    if (instance.modelId === modelId && contextLength >= leastContext && mayComeBack(state, instance))
      return true;
  }
  return false;
}

/**
 * Is it worth the wait of a request that has not begun (R4)? A wish is served before long while it is being placed, or
 * what it has is started anew, moved or waited for. One that fits nowhere waits for somebody's doing; and what nobody
 * wished for is no promise.
 */
export function isExpected(state: ClusterState, modelId: ModelId): boolean {
  for (const wish of state.metaInstances.values()) {
    if (wish.modelId !== modelId || wish.hasFailed) continue;
    if (wish.placementProblem === null) return true;
    if (instancesOfWish(state, wish.metaInstanceId).present.length > 0) return true;
  }
  return false;
}

/** Does the state say what became of an instance? One that it never had is of a master whose last words it lacks. */
export function isAccountedFor(state: ClusterState, instanceId: InstanceId): boolean {
  return state.instances.has(instanceId) || state.deletedInstances.includes(instanceId);
}

function mayComeBack(state: ClusterState, instance: InstanceRecord): boolean {
  // Of a wish that has failed, only what still runs counts.
  if (instance.metaInstanceId !== null)
    return ['ready', 'starting'].includes(instanceStatus(state, instance));
  if (instance.shards.some(({ nodeId }) => isNodeGone(state, nodeId))) return true;
  return runnersOf(state, instance).every(
    ({ status, restartAt }) => status !== 'failed' || restartAt !== null,
  );
}
