/**
 * What a worker should do now: compares the runners that the state gives to its node with those that it has. Level,
 * not edge: a lost or repeated message changes nothing, since the next look finds the same difference.
 */
import type { NodeId, RunnerId } from '../shared/ids.js';
import type { ClusterState, InstanceRecord, ShardRecord } from './state.js';

export type WorkerAction =
  | { readonly kind: 'StartRunner'; readonly instance: InstanceRecord; readonly shard: ShardRecord }
  | { readonly kind: 'StopRunner'; readonly runnerId: RunnerId };

/** All actions that can start now, in no order of importance; they may run side by side. */
export function planWorker(
  state: ClusterState,
  nodeId: NodeId,
  supervised: ReadonlySet<RunnerId>,
): WorkerAction[] {
  const actions: WorkerAction[] = [];
  const wanted = new Set<RunnerId>();
  for (const instance of state.instances.values()) {
    for (const shard of instance.shards) {
      if (shard.nodeId !== nodeId) continue;
      wanted.add(shard.runnerId);
      if (!supervised.has(shard.runnerId)) actions.push({ kind: 'StartRunner', instance, shard });
    }
  }
  for (const runnerId of supervised) {
    if (!wanted.has(runnerId)) actions.push({ kind: 'StopRunner', runnerId });
  }
  return actions;
}
