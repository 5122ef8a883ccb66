/** What one rank of a model in slices has: sums over all ranks, and the steps that rank 0 tells. */
import { BlockingCollective } from '../../collective/bridge/blockingCollective.js';
import { allocateBridge, type BridgeMemory } from '../../collective/bridge/layout.js';
import type { Engine, SliceSums } from '../../engine/contract.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import type { RunnerPart } from '../../shared/runnerProtocol.js';
import { Inbox, Outbox } from './mailbox.js';
import type { Patience } from './patience.js';
import { SliceFollower } from './sliceFollower.js';
import { SliceLeader } from './sliceLeader.js';

const BRIDGE_SLOTS = 16;
/** Messages that are on their way at once, beside the sums. */
const ROOMS = 2;
/** What is lost between pieces of the arena. */
const SPARE_BYTES = 4 * 1024;

export class SliceRank {
  /** For the thread that has the links. */
  readonly memory: BridgeMemory;
  /** For the engine of this rank. */
  readonly sums: SliceSums;
  readonly #ranks: BlockingCollective;
  readonly #patience: Patience;

  /** @param sumFloats that the engine will ask `sums` for */
  constructor(sumFloats: number, patience: Patience) {
    const messageBytes = ROOMS * LIMITS.collectiveControlBytes;
    const sumBytes = sumFloats * Float32Array.BYTES_PER_ELEMENT;
    this.memory = allocateBridge(BRIDGE_SLOTS, messageBytes + sumBytes + SPARE_BYTES);
    const ranks = new BlockingCollective(this.memory);
    this.#ranks = ranks;
    this.#patience = patience;
    this.sums = {
      allocate: (length) => ranks.allocateFloats(length),
      // The ranks meet in it, and each of them may be held up for long; who never comes is named.
      sum: (buffer) => patience.wait(ranks.allReduce(buffer, TIMES.rankAnswerMs)),
    };
  }

  /** What this rank does with its slice. */
  stageOf(engine: Engine, { rank, names }: RunnerPart, onStep: (rows: number) => void) {
    const ranks = this.#ranks;
    const roomBytes = LIMITS.collectiveControlBytes;
    if (rank === 0) {
      const send = (bytes: Uint8Array) => ranks.broadcast(bytes, null);
      return new SliceLeader(engine, new Outbox(ranks, send, { roomBytes, rooms: ROOMS }, this.#patience));
    }
    const receive = (room: Uint8Array) => ranks.nextBroadcast(room);
    const from = { rank: 0, names, receive };
    return new SliceFollower({ engine, leader: new Inbox(ranks, from, roomBytes, this.#patience), onStep });
  }

  /** Waits until all ranks are here, for as long as they live. @param onBeat called with each sign of life meanwhile */
  meet(onBeat?: () => void): void {
    this.#patience.wait(this.#ranks.barrier(null), onBeat);
  }
}
