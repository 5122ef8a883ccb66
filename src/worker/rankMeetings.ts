/**
 * How the runners of this node that have a part of a model come to meet the other ranks: a side channel for each process,
 * and a secret that only the ranks of one attempt at an instance have. It is derived, never stored, sent or logged.
 */

import type { Contribution } from '../control/sideChannel.js';
import type { ClusterState, InstanceRecord, ShardRecord } from '../control/state.js';
import type { Fault } from '../shared/errors.js';
import type { InstanceId } from '../shared/ids.js';
import type { RunnerPart } from '../shared/runnerProtocol.js';
import { removeLeftPipes } from './sideChannel/pipes.js';
import { SideChannelRelay } from './sideChannel/relay.js';

/** The blobs of all ranks, once all have contributed. @throws {ShoalError} when they never will; the signal's reason */
type Gather = (
  contribution: Omit<Contribution, 'caller'>,
  signal: AbortSignal,
) => Promise<readonly Uint8Array[]>;

export interface RankMeetingsComponents {
  readonly gather: Gather;
  /** 32 bytes that follow from the key of the cluster. */
  readonly secretOf: (instanceId: InstanceId, attempt: number) => Uint8Array;
}

export interface RankMeetingsOptions {
  /** Where the pipes are made; nobody else may use it. What an earlier life of the node left there is removed. */
  readonly folder: string;
}

export class RankMeetings {
  readonly #components: RankMeetingsComponents;
  readonly #folder: string;

  constructor(components: RankMeetingsComponents, { folder }: RankMeetingsOptions) {
    this.#components = components;
    this.#folder = folder;
    removeLeftPipes(folder);
  }

  /**
   * Makes the side channel of one process.
   * @param onFailed the ranks will not meet; called once at most, and not after `close`
   * @throws {ShoalError} `sharding_unsupported` where there are no named pipes
   */
  open(
    { instanceId, attempt, shards }: InstanceRecord,
    { rank }: ShardRecord,
    onFailed: (fault: Fault) => void,
  ): Promise<SideChannelRelay> {
    const { gather } = this.#components;
    return SideChannelRelay.open(
      {
        instanceId,
        rank,
        gather: (_, round, __, blob, signal) =>
          gather({ instanceId, attempt, round, rank, worldSize: shards.length, blob }, signal),
        onFailed,
      },
      { folder: this.#folder },
    );
  }

  secretOf({ instanceId, attempt }: InstanceRecord): Uint8Array {
    return this.#components.secretOf(instanceId, attempt);
  }
}

/** Null for a runner that has the whole model. */
export function partOf(
  state: ClusterState,
  instance: InstanceRecord,
  { rank, worldSize }: ShardRecord,
  ranks: Pick<RankMeetings, 'secretOf'>,
): RunnerPart | null {
  if (worldSize === 1) return null;
  const { sharding, transport } = instance;
  const shards = [...instance.shards].sort((a, b) => a.rank - b.rank);
  return {
    rank,
    worldSize,
    sharding,
    transport,
    layers: shards.map(({ startLayer, endLayer }) => ({ first: startLayer, end: endLayer })),
    names: shards.map(({ nodeId }) => state.nodes.get(nodeId)?.name ?? nodeId),
    secret: ranks.secretOf(instance),
  };
}
