/**
 * The instances of one wish. It wants one; it has several after a partition in which each side made one, and while a
 * node that is gone may still serve one to others: nothing is torn down as long as somebody may be using it (R59).
 */
import type { MetaInstanceId } from '../shared/ids.js';
import { instanceStatus, isNodeGone, runningTasks } from './instances.js';
import type { ClusterState, InstanceRecord } from './state.js';

export interface WishInstances {
  /** All their nodes are there. The one to keep first: ready before one that may become so, busy before idle, by id. */
  readonly present: readonly InstanceRecord[];
  /** A node of them is gone; out of sight they may serve. */
  readonly lost: readonly InstanceRecord[];
}

export function instancesOfWish(state: ClusterState, metaInstanceId: MetaInstanceId): WishInstances {
  const all = [...state.instances.values()].filter((instance) => instance.metaInstanceId === metaInstanceId);
  const isLost = ({ shards }: InstanceRecord) => shards.some(({ nodeId }) => isNodeGone(state, nodeId));
  const present = all.filter((instance) => !isLost(instance));
  return { present: present.sort(byWorth(state)), lost: all.filter(isLost) };
}

function byWorth(state: ClusterState): (a: InstanceRecord, b: InstanceRecord) => number {
  const rank = (instance: InstanceRecord) => {
    const status = instanceStatus(state, instance);
    return status === 'ready' ? 0 : status === 'starting' ? 1 : 2;
  };
  return (a, b) =>
    rank(a) - rank(b) ||
    runningTasks(state, b.instanceId) - runningTasks(state, a.instanceId) ||
    (a.instanceId < b.instanceId ? -1 : 1);
}

/** Is another one kept in its place, which is ready? Then new requests go there, so that this one comes to an end. */
export function isSurplus(state: ClusterState, { instanceId, metaInstanceId }: InstanceRecord): boolean {
  if (metaInstanceId === null) return false;
  const [kept] = instancesOfWish(state, metaInstanceId).present;
  return kept !== undefined && kept.instanceId !== instanceId && instanceStatus(state, kept) === 'ready';
}
