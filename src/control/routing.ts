/**
 * Which instance takes a request. The check for health is negative: an instance with a failed or stopping runner is
 * skipped, one whose runners are still starting is not, so that early requests wait instead of being refused.
 */
import type { Fault } from '../shared/errors.js';
import type { InstanceId, ModelId, NodeId } from '../shared/ids.js';
import { LIMITS } from '../shared/limits.js';
import { instanceStatus, runningTasks } from './instances.js';
import type { ClusterState, InstanceRecord, ShardRecord } from './state.js';
import { unserved } from './unserved.js';
import { isSurplus } from './wishInstances.js';

export type Choice = { readonly instance: InstanceRecord } | { readonly fault: Fault };

export interface RoutingWish {
  readonly modelId: ModelId;
  /** Nodes that the asking node has no link to. */
  readonly unreachable: ReadonlySet<NodeId>;
  /** An instance that shall not take it. @default none */
  readonly avoid?: InstanceId | null;
  /** Context that it must have. @default any */
  readonly leastContext?: number;
}

/** The healthy instance of the model with the fewest running tasks; the smallest id where they are equal. */
export function chooseInstance(
  state: ClusterState,
  { modelId, unreachable, avoid = null, leastContext = 0 }: RoutingWish,
  now: number,
): Choice {
  const all = [...state.instances.values()].filter(
    (instance) =>
      instance.modelId === modelId && instance.instanceId !== avoid && instance.contextLength >= leastContext,
  );
  const routable = all.filter((instance) => isRoutable(state, instance));
  if (routable.length === 0) return { fault: unserved(state, modelId, all, now) };
  const reached = routable.filter((instance) => !unreachable.has(firstShard(instance).nodeId));
  if (reached.length === 0) {
    return {
      fault: { code: 'node_lost', message: `this node has no link to a node that serves ${modelId}` },
    };
  }
  const staying = reached.filter((instance) => !isDraining(state, instance));
  if (staying.length === 0) {
    return { fault: { code: 'not_ready', message: `the node that serves ${modelId} is stopping` } };
  }
  const unsuspected = staying.filter((instance) => !isSuspect(state, instance));
  const unshaken = unsuspected.length > 0 ? unsuspected : staying;
  const wanted = unshaken.filter((instance) => !isSurplus(state, instance));
  const healthy = wanted.length > 0 ? wanted : unshaken;
  // One that still loads takes requests when none is ready, or those that are have their queues full.
  const ready = healthy.filter(
    (instance) =>
      instanceStatus(state, instance) === 'ready' &&
      runningTasks(state, instance.instanceId) < LIMITS.instanceQueueRequests,
  );
  const [best] = (ready.length > 0 ? ready : healthy)
    .map((instance) => ({ instance, tasks: runningTasks(state, instance.instanceId) }))
    .sort((a, b) => a.tasks - b.tasks || (a.instance.instanceId < b.instance.instanceId ? -1 : 1));
  if (best === undefined || best.tasks >= LIMITS.instanceQueueRequests) {
    return {
      fault: {
        code: 'queue_full',
        message: `every instance of ${modelId} has ${LIMITS.instanceQueueRequests} requests already`,
      },
    };
  }
  return { instance: best.instance };
}

/** Where requests for the instance go. Every instance has one: placement makes no other. */
export function firstShard(instance: InstanceRecord): ShardRecord {
  return instance.shards.find((shard) => shard.rank === 0) as ShardRecord;
}

function isDraining(state: ClusterState, instance: InstanceRecord): boolean {
  return instance.shards.some((shard) => state.nodes.get(shard.nodeId)?.isDraining === true);
}

function isSuspect(state: ClusterState, instance: InstanceRecord): boolean {
  return instance.shards.some((shard) => state.nodes.get(shard.nodeId)?.status === 'suspect');
}

function isRoutable(state: ClusterState, instance: InstanceRecord): boolean {
  const status = instanceStatus(state, instance);
  return status === 'ready' || status === 'starting';
}
