/**
 * Memory that was given away twice, by two masters that did not hear of each other: what its node has never begun to
 * run is placed anew (R31). What has begun stays, also on a node that offers less since it was started again.
 */
import { isNodeGone, runningTasks } from '../instances.js';
import { takenMemory } from '../placement/takenMemory.js';
import type { ClusterState, ShardRecord } from '../state.js';
import type { Reconciler } from './contract.js';

/** One decision at a time: with what it leaves, the next one may not be needed. */
export const doubleBooking: Reconciler = ({ state }) => {
  const taken = takenMemory(state.instances.values());
  const isInVain = ({ nodeId, runnerId }: ShardRecord) =>
    !isNodeGone(state, nodeId) &&
    (taken.get(nodeId) ?? 0) > (state.nodes.get(nodeId)?.memoryBytes ?? 0) &&
    isUnheardOf(state, runnerId);
  for (const { instanceId, metaInstanceId, shards } of state.instances.values()) {
    if (metaInstanceId === null || runningTasks(state, instanceId) > 0) continue;
    if (shards.some(isInVain)) return [{ kind: 'InstanceDeleted', instanceId }];
  }
  return [];
};

/** Its node has not spoken of it in any life. */
function isUnheardOf(state: ClusterState, runnerId: ShardRecord['runnerId']): boolean {
  const runner = state.runners.get(runnerId);
  return runner !== undefined && runner.incarnation === 0 && runner.sequence === 0;
}
