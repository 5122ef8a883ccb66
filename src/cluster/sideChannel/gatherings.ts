/**
 * Where the ranks of an instance meet: each node brings the blobs of its runners to the master, which gathers them and
 * answers when all have come (docs/collective.md). A call that is lost with its master, or comes before there is one, is
 * made again to the next.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { instanceStatus } from '../../control/instances.js';
import { type GatherAnswer, SideChannelGatherings } from '../../control/sideChannel.js';
import { type ErrorCode, ShoalError } from '../../shared/errors.js';
import type { InstanceId, NodeId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import type { Calls } from '../calls/calls.js';
import { notUnderstood } from '../calls/fault.js';
import type { ClusterNode } from '../clusterNode.js';
import { type Contribution, readBlobs, readContribution } from './protocol.js';

/** Name of the call: a contribution → `{blobs}`. */
const GATHER_CALL = 'gather';
/** What one contribution takes beside its blob. */
const HEAD_BYTES = 1024;

/** Another try may find a master, or the next one. */
const WORTH_ANOTHER_TRY: ReadonlySet<ErrorCode> = new Set([
  'node_lost',
  'not_ready',
  'queue_full',
  'deadline_exceeded',
]);

export interface GatheringsComponents {
  readonly nodeId: NodeId;
  readonly calls: Calls;
  readonly cluster: Pick<ClusterNode, 'state' | 'role' | 'isUpToDate' | 'listen'>;
}

export interface GatheringsOptions {
  /** Who is still missing after this is named to those that wait, in milliseconds. @default `sideChannelMissingMs` */
  readonly missingMs?: number;
}

interface Caller {
  readonly resolve: (blobs: readonly Uint8Array[]) => void;
  readonly reject: (reason: ShoalError) => void;
}

export class Gatherings {
  readonly #components: GatheringsComponents;
  readonly #missingMs: number;
  /** What this node gathers while it is the master. */
  readonly #gatherings = new SideChannelGatherings();
  readonly #callers = new Map<string, Caller>();
  readonly #stopListening: () => void;

  constructor(components: GatheringsComponents, options: GatheringsOptions = {}) {
    this.#components = components;
    this.#missingMs = options.missingMs ?? TIMES.sideChannelMissingMs;
    components.calls.serve(
      GATHER_CALL,
      async (from, body, signal) => {
        const contribution = readContribution(body);
        if (contribution === null) {
          throw ShoalError.fromFault(notUnderstood(from, 'what a rank contributes was due'));
        }
        return { blobs: await this.#contribute(from, contribution, signal) };
      },
      {
        bodyLimitBytes: LIMITS.sideChannelBlobBytes + HEAD_BYTES,
        replyLimitBytes: GATHERED_BYTES,
      },
    );
    this.#stopListening = components.cluster.listen({
      applied: () => this.#dropStale(),
      replaced: () => this.#dropStale(),
      roleChanged: () => this.#dropStale(),
    });
  }

  /** Instances that are gathered for here, and ranks that wait for the answer; for tests and metrics. */
  get size(): { readonly gatherings: number; readonly callers: number } {
    return { gatherings: this.#gatherings.size, callers: this.#callers.size };
  }

  close(): void {
    this.#stopListening();
    this.#answer(
      this.#gatherings.dropAll(() => false, { code: 'not_ready', message: 'the node is stopping' }),
    );
  }

  /**
   * Brings a blob of a rank on this node to the master, whoever that is by then.
   * @param signal ends the wait
   * @returns the blobs of all ranks, in their order
   * @throws {ShoalError} `cancelled` when the instance is gone or tried anew, `deadline_exceeded` with the rank that never
   * came, `invalid_request`, or the signal's reason
   */
  async gather(contribution: Contribution, signal: AbortSignal): Promise<readonly Uint8Array[]> {
    for (;;) {
      signal.throwIfAborted();
      try {
        return await this.#ask(contribution, signal);
      } catch (error) {
        const isPassing = error instanceof ShoalError && WORTH_ANOTHER_TRY.has(error.code);
        if (!isPassing || error.details?.rank !== undefined) throw error;
      }
      await sleep(TIMES.sideChannelRetryMs, undefined, { signal });
    }
  }

  async #ask(contribution: Contribution, signal: AbortSignal): Promise<readonly Uint8Array[]> {
    const { cluster, nodeId, calls } = this.#components;
    const master = cluster.isUpToDate ? cluster.state.masterNodeId : null;
    if (master === null) throw new ShoalError('not_ready', 'no node leads the cluster right now');
    if (master === nodeId) return this.#contribute(nodeId, contribution, signal);
    const reply = await calls.call(master, GATHER_CALL, contribution, {
      timeoutMs: TIMES.sideChannelRoundMs,
      signal,
      bodyLimitBytes: LIMITS.sideChannelBlobBytes + HEAD_BYTES,
      replyLimitBytes: GATHERED_BYTES,
    });
    const blobs = readBlobs(reply, contribution.worldSize);
    if (blobs === null) throw ShoalError.fromFault(notUnderstood(master, 'the blobs of all ranks were due'));
    return blobs;
  }

  #contribute(from: NodeId, contribution: Contribution, signal: AbortSignal): Promise<readonly Uint8Array[]> {
    this.#check(from, contribution);
    const caller = randomUUID();
    const { instanceId } = contribution;
    const answered = new Promise<readonly Uint8Array[]>((resolve, reject) => {
      this.#callers.set(caller, { resolve, reject });
    });
    const leave = () => {
      this.#gatherings.leave(instanceId, caller);
      this.#callers.get(caller)?.reject(new ShoalError('cancelled', 'nobody waits for the ranks any more'));
      this.#callers.delete(caller);
    };
    signal.addEventListener('abort', leave, { once: true });
    const timer = setTimeout(() => this.#nameMissing(instanceId, caller), this.#missingMs);
    this.#answer(this.#gatherings.contribute({ ...contribution, caller }));
    if (signal.aborted) leave();
    return answered.finally(() => {
      clearTimeout(timer);
      signal.removeEventListener('abort', leave);
    });
  }

  /** Else whoever waits for it would be taken for the one at fault. */
  #nameMissing(instanceId: InstanceId, caller: string): void {
    const [rank] = this.#gatherings.missing(instanceId);
    const { state } = this.#components.cluster;
    const shard = state.instances.get(instanceId)?.shards.find((one) => one.rank === rank);
    if (rank === undefined || shard === undefined) return;
    const node = state.nodes.get(shard.nodeId)?.name ?? shard.nodeId;
    const seconds = Math.round(this.#missingMs / MS_PER_S);
    const message = `rank ${rank} (${node}) has not come to the meeting of the ranks within ${seconds} s`;
    this.#gatherings.leave(instanceId, caller);
    this.#answer([
      {
        caller,
        result: { kind: 'refused', fault: { code: 'deadline_exceeded', message, details: { rank, node } } },
      },
    ]);
  }

  /** @throws {ShoalError} when the rank is not this node's, or not of the attempt that is under way */
  #check(from: NodeId, { instanceId, attempt, rank, worldSize }: Contribution): void {
    const { cluster } = this.#components;
    if (cluster.role !== 'master') throw new ShoalError('not_ready', 'this node does not lead the cluster');
    const instance = cluster.state.instances.get(instanceId);
    if (instance === undefined) throw new ShoalError('cancelled', `there is no instance ${instanceId}`);
    // A node that was the master a moment ago may know of a later attempt: this one hears of it, or never had it.
    if (attempt > instance.attempt) throw new ShoalError('not_ready', 'the attempt is not known here yet');
    if (attempt < instance.attempt) throw new ShoalError('cancelled', 'a later attempt has begun');
    const shard = instance.shards.find((one) => one.rank === rank);
    if (shard?.nodeId !== from || worldSize !== instance.shards.length) {
      throw new ShoalError(
        'invalid_request',
        `rank ${rank} of ${instanceId} is not on the node that speaks for it`,
      );
    }
  }

  /** What is gathered belongs to a reign, an instance and an attempt, and is over when all ranks are ready. */
  #dropStale(): void {
    if (this.#gatherings.size === 0) return;
    const { state, role } = this.#components.cluster;
    const isCurrent = (instanceId: InstanceId, attempt: number) => {
      const instance = state.instances.get(instanceId);
      if (instance === undefined || instance.attempt !== attempt || instance.failure !== null) return false;
      return instanceStatus(state, instance) !== 'ready';
    };
    const reason =
      role === 'master'
        ? ({ code: 'cancelled', message: 'the instance was deleted, or is started anew' } as const)
        : ({ code: 'not_ready', message: 'another node leads the cluster by now' } as const);
    this.#answer(
      this.#gatherings.dropAll((id, attempt) => role === 'master' && isCurrent(id, attempt), reason),
    );
  }

  #answer(answers: readonly GatherAnswer[]): void {
    for (const { caller, result } of answers) {
      const waiting = this.#callers.get(caller);
      this.#callers.delete(caller);
      if (result.kind === 'gathered') waiting?.resolve(result.blobs);
      else waiting?.reject(ShoalError.fromFault(result.fault));
    }
  }
}

const MS_PER_S = 1_000;
const GATHERED_BYTES = LIMITS.shardsPerInstance * (LIMITS.sideChannelBlobBytes + HEAD_BYTES);
