/**
 * What a worker should do now: compares the runners that the state gives to its node with those that it has. Level,
 * not edge: a lost or repeated message changes nothing, since the next look finds the same difference.
 */
import type { InstanceId, NodeId, RunnerId } from '../shared/ids.js';
import type { ControlEvent } from './events.js';
import { restartsAsWhole, runnersOf } from './instances.js';
import type { ClusterState, InstanceRecord, ShardRecord } from './state.js';

export type WorkerAction =
  | { readonly kind: 'StartRunner'; readonly instance: InstanceRecord; readonly shard: ShardRecord }
  | { readonly kind: 'StopRunner'; readonly runnerId: RunnerId };

/** What a worker has: runners under supervision, and instances of which a runner is still on its way out. */
export interface WorkerHas {
  readonly supervised: ReadonlySet<RunnerId>;
  readonly leaving: ReadonlySet<InstanceId>;
  /** Of the runners under supervision and of those on their way out, in bytes. */
  readonly memoryBytes: ReadonlyMap<RunnerId, number>;
}

/** All actions that can start now, in no order of importance; they may run side by side. */
export function planWorker(
  state: ClusterState,
  nodeId: NodeId,
  { supervised, leaving, memoryBytes }: WorkerHas,
): WorkerAction[] {
  const missing: { readonly instance: InstanceRecord; readonly shard: ShardRecord }[] = [];
  const wanted = new Set<RunnerId>();
  for (const instance of state.instances.values()) {
    // A half instance is of no use: what is left of it ends, and starts again with its siblings (R7, R32).
    if (restartsAsWhole(instance) && isBroken(state, instance)) continue;
    for (const shard of instance.shards) {
      if (shard.nodeId !== nodeId) continue;
      wanted.add(shard.runnerId);
      // The runner of the attempt before has the memory until it has ended.
      if (supervised.has(shard.runnerId) || leaving.has(instance.instanceId)) continue;
      missing.push({ instance, shard });
    }
  }
  const room = new Room(state.nodes.get(nodeId)?.memoryBytes ?? 0, wanted, memoryBytes);
  const starts = missing.filter(({ instance, shard }) => room.take(instance, shard));
  const unwanted = [...supervised].filter((runnerId) => !wanted.has(runnerId));
  return [
    ...starts.map((start) => ({ kind: 'StartRunner' as const, ...start })),
    ...unwanted.map((runnerId) => ({ kind: 'StopRunner' as const, runnerId })),
  ];
}

/**
 * The master gives memory anew as soon as an instance is deleted; its runner has it until it has ended (R31). Whoever
 * does not fit beside those that leave waits for their end, which is bounded. Two masters that did not hear of each
 * other may have given it twice: an instance that is declared waits then, until the one master places it anew. By
 * itself it runs also on a node that offers less than when it was placed.
 */
class Room {
  #freeBytes: number;
  #isEmpty: boolean;
  readonly #isAnyLeaving: boolean;

  constructor(
    offeredBytes: number,
    wanted: ReadonlySet<RunnerId>,
    memoryBytes: ReadonlyMap<RunnerId, number>,
  ) {
    this.#freeBytes = offeredBytes;
    for (const bytes of memoryBytes.values()) this.#freeBytes -= bytes;
    this.#isEmpty = memoryBytes.size === 0;
    this.#isAnyLeaving = [...memoryBytes.keys()].some((runnerId) => !wanted.has(runnerId));
  }

  take({ metaInstanceId }: InstanceRecord, { memoryBytes }: ShardRecord): boolean {
    const isPlacedAnew = metaInstanceId !== null && !this.#isEmpty;
    if (memoryBytes > this.#freeBytes && (this.#isAnyLeaving || isPlacedAnew)) return false;
    this.#freeBytes -= memoryBytes;
    this.#isEmpty = false;
    return true;
  }
}

/** May the plan be another one after this event? */
export function changesPlan(event: ControlEvent): boolean {
  const isFailure = event.kind === 'RunnerStatusChanged' && event.runner.status === 'failed';
  return isFailure || CHANGES_PLAN.has(event.kind);
}

const CHANGES_PLAN: ReadonlySet<ControlEvent['kind']> = new Set([
  'MasterElected',
  // In a new life of its node, a runner that had failed has not: its siblings may start.
  'NodeJoined',
  'InstanceCreated',
  'InstanceDeleted',
  'InstanceFailed',
  'InstanceRetrying',
  'MetaInstanceDeleted',
  'NodeForgotten',
]);

function isBroken(state: ClusterState, instance: InstanceRecord): boolean {
  return instance.failure !== null || runnersOf(state, instance).some(({ status }) => status === 'failed');
}
