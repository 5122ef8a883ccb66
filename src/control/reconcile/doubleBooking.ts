/**
 * Memory that was given away twice, by two masters that did not hear of each other: what its node has never begun to
 * run is placed anew, and what waits for its next attempt while another stands there (R31). What has begun stays, also
 * on a node that offers less since it was started again.
 */
import type { NodeId } from '../../shared/ids.js';
import { isNodeGone, runningTasks } from '../instances.js';
import { takenMemory } from '../placement/takenMemory.js';
import type { ClusterState, InstanceRecord, ShardRecord } from '../state.js';
import type { Reconciler } from './contract.js';

/** One decision at a time: with what it leaves, the next one may not be needed. */
export const doubleBooking: Reconciler = ({ state }) => {
  const taken = takenMemory(state.instances.values());
  const isOverbooked = ({ nodeId }: ShardRecord) =>
    !isNodeGone(state, nodeId) && (taken.get(nodeId) ?? 0) > (state.nodes.get(nodeId)?.memoryBytes ?? 0);
  const isInVain = (shard: ShardRecord, { failure }: InstanceRecord) =>
    isOverbooked(shard) &&
    (isUnheardOf(state, shard.runnerId) || (failure !== null && hasSoundInstance(state, shard.nodeId)));
  for (const instance of state.instances.values()) {
    const { instanceId, metaInstanceId, shards } = instance;
    if (metaInstanceId === null || runningTasks(state, instanceId) > 0) continue;
    if (shards.some((shard) => isInVain(shard, instance))) return [{ kind: 'InstanceDeleted', instanceId }];
  }
  return [];
};

/** Its node has not spoken of it in any life. */
function isUnheardOf(state: ClusterState, runnerId: ShardRecord['runnerId']): boolean {
  const runner = state.runners.get(runnerId);
  return runner !== undefined && runner.incarnation === 0 && runner.sequence === 0;
}

function hasSoundInstance(state: ClusterState, node: NodeId): boolean {
  return [...state.instances.values()].some(
    ({ failure, shards }) => failure === null && shards.some(({ nodeId }) => nodeId === node),
  );
}
