/** What one rank of a pipeline has beside its engine: mailboxes to its neighbours, as large as the model asks. */
import { BlockingCollective } from '../../collective/bridge/blockingCollective.js';
import { allocateBridge, type BridgeMemory } from '../../collective/bridge/layout.js';
import type { Engine } from '../../engine/contract.js';
import type { RunnerPart, RunnerSettings } from '../../shared/runnerProtocol.js';
import { Drawer } from '../step/drawer.js';
import { FirstStage } from './firstStage.js';
import { LaterStage } from './laterStage.js';
import { Inbox, Outbox } from './mailbox.js';
import { afterMessage } from './message.js';
import type { Patience } from './patience.js';

/** Of a message without prompt and rows. */
const LEAST_MESSAGE_BYTES = 64 * 1024;
/** Of a row, beside its hidden state: token, position, sequence, and who draws from it. */
const ROW_BYTES = 64;
/** Operations of a rank that are on their way at once. */
const BRIDGE_SLOTS = 64;
const ROOMS_IN = 2;

export interface PipelineRankComponents {
  readonly engine: Engine;
  readonly patience: Patience;
  /** Told before a step of so many rows, and with 0 after it. */
  readonly onStep: (rows: number) => void;
}

export class PipelineRank {
  /** For the thread that has the links. */
  readonly memory: BridgeMemory;
  readonly #ranks: BlockingCollective;
  readonly #patience: Patience;
  readonly stage: FirstStage | LaterStage;

  constructor(
    { engine, patience, onStep }: PipelineRankComponents,
    settings: RunnerSettings,
    { rank, worldSize, names }: RunnerPart,
  ) {
    const [isFirst, isLast] = [rank === 0, rank === worldSize - 1];
    const { batchRows } = engine.capacity;
    const frameBytes =
      LEAST_MESSAGE_BYTES + settings.contextTokens * Int32Array.BYTES_PER_ELEMENT + batchRows * ROW_BYTES;
    const hiddenBytes = batchRows * engine.shape.hiddenSize * Float32Array.BYTES_PER_ELEMENT;
    const bytesOf = (hasHidden: boolean) => afterMessage(frameBytes) + (hasHidden ? hiddenBytes : 0);
    const roomsOut = worldSize + 1;
    const [inBytes, outBytes] = [bytesOf(!isFirst), bytesOf(!isLast)];
    this.memory = allocateBridge(BRIDGE_SLOTS, ROOMS_IN * inBytes + roomsOut * outBytes);
    this.#ranks = new BlockingCollective(this.memory);
    this.#patience = patience;
    const before = (rank + worldSize - 1) % worldSize;
    const receive = (room: Uint8Array) => this.#ranks.receive(before, room, undefined, null);
    const from = { rank: before, names, receive };
    const inbox = new Inbox(this.#ranks, from, inBytes, patience);
    const after = (rank + 1) % worldSize;
    const send = (bytes: Uint8Array) => this.#ranks.send(after, 0, bytes, null);
    const next = new Outbox(this.#ranks, send, { roomBytes: outBytes, rooms: roomsOut }, patience);
    this.stage = isFirst
      ? new FirstStage({ engine, next, outcomes: inbox }, worldSize)
      : new LaterStage({
          engine,
          before: inbox,
          next,
          drawer: isLast ? new Drawer(engine.shape.vocabularySize) : null,
          onStep,
        });
  }

  /** Waits until all ranks are here, for as long as they live. @param onBeat called with each sign of life meanwhile */
  meet(onBeat?: () => void): void {
    this.#patience.wait(this.#ranks.barrier(null), onBeat);
  }
}
