/**
 * Memory that was given away twice, by two masters that did not hear of each other: what its node has not begun to run
 * is placed anew, and what waits for its next attempt while another stands there (R31). What has begun stays, and what
 * is alone on a node that offers less since it was started again. Its worker begins nothing that has no room, but for
 * what is alone there; so nothing waits for room for good.
 */
import { isNodeGone, runningTasks } from '../instances.js';
import { takenMemory } from '../placement/takenMemory.js';
import type { ClusterState, InstanceRecord, ShardRecord } from '../state.js';
import type { Reconciler } from './contract.js';

/**
 * One decision at a time: with what it leaves, the next one may not be needed. The last one first: a worker begins
 * with the first.
 */
export const doubleBooking: Reconciler = ({ state }) => {
  const taken = takenMemory(state.instances.values());
  const isOverbooked = ({ nodeId }: ShardRecord) =>
    !isNodeGone(state, nodeId) && (taken.get(nodeId) ?? 0) > (state.nodes.get(nodeId)?.memoryBytes ?? 0);
  for (const instance of [...state.instances.values()].reverse()) {
    const { instanceId, metaInstanceId, shards } = instance;
    if (metaInstanceId === null || runningTasks(state, instanceId) > 0) continue;
    if (shards.some((shard) => isOverbooked(shard) && isInVain(state, instance, shard)))
      return [{ kind: 'InstanceDeleted', instanceId }];
  }
  return [];
};

function isInVain(state: ClusterState, instance: InstanceRecord, { runnerId, nodeId }: ShardRecord): boolean {
  const runner = state.runners.get(runnerId);
  const hasBegun = runner === undefined || runner.sequence > 0;
  const isUnheardOf = !hasBegun && runner.incarnation === 0;
  return isUnheardOf || ((!hasBegun || instance.failure !== null) && hasAnother(state, instance, nodeId));
}

/** One that has not failed. */
function hasAnother(
  state: ClusterState,
  { instanceId }: InstanceRecord,
  node: ShardRecord['nodeId'],
): boolean {
  return [...state.instances.values()].some(
    (other) =>
      other.instanceId !== instanceId &&
      other.failure === null &&
      other.shards.some(({ nodeId }) => nodeId === node),
  );
}
