/**
 * A rank's links, for its compute thread: frames to the next rank out of a few buffers that are used in turn, and waits
 * in which the thread still gives signs of life.
 */
import type { BlockingCollective, Ticket } from '../../collective/bridge/blockingCollective.js';
import { ShoalError } from '../../shared/errors.js';
import { TIMES } from '../../shared/limits.js';
import type { SharedStatus } from '../sharedStatus.js';

/** The counter moves twice for each time that it is reported. */
const BEAT_MS = TIMES.heartbeatMs / 2;

/** Waits until an operation has ended. @throws {ShoalError} the fault that ended it, or `cancelled` when the runner ends */
export function waitFor(ticket: Ticket, status: SharedStatus, onBeat: () => void = () => undefined): void {
  while (!ticket.wait(BEAT_MS)) {
    status.beat();
    onBeat();
    if (status.isShutdownRequested) throw new ShoalError('cancelled', 'the runner is being stopped');
  }
}

interface Buffer {
  readonly bytes: Uint8Array;
  ticket: Ticket | null;
}

/** Sends frames to one rank. While some are on their way, others can be written. */
export class FrameSender {
  readonly #ranks: BlockingCollective;
  readonly #status: SharedStatus;
  readonly #to: number;
  readonly #buffers: readonly Buffer[];
  #next = 0;

  constructor(
    ranks: BlockingCollective,
    status: SharedStatus,
    { to, bytes, buffers }: { readonly to: number; readonly bytes: number; readonly buffers: number },
  ) {
    this.#ranks = ranks;
    this.#status = status;
    this.#to = to;
    this.#buffers = Array.from({ length: buffers }, () => ({ bytes: ranks.allocate(bytes), ticket: null }));
  }

  /** Where the next frame is written. Waits while all buffers are on their way. */
  get frame(): Uint8Array {
    const buffer = this.#buffers[this.#next]!;
    if (buffer.ticket !== null) waitFor(buffer.ticket, this.#status);
    buffer.ticket = null;
    return buffer.bytes;
  }

  /** Sends what was written. */
  send(tag: number, length: number): void {
    const buffer = this.#buffers[this.#next]!;
    buffer.ticket = this.#ranks.send(this.#to, tag, buffer.bytes.subarray(0, length));
    this.#next = (this.#next + 1) % this.#buffers.length;
  }
}

/** Receives frames of one rank, one ahead of the reader. */
export class FrameReceiver {
  readonly #ranks: BlockingCollective;
  readonly #from: number;
  readonly #buffers: readonly Uint8Array[];
  #next = 0;
  #ticket: Ticket;

  constructor(ranks: BlockingCollective, { from, bytes }: { readonly from: number; readonly bytes: number }) {
    this.#ranks = ranks;
    this.#from = from;
    this.#buffers = [ranks.allocate(bytes), ranks.allocate(bytes)];
    this.#ticket = this.#receive();
  }

  /** The next frame and its tag; null while none has come. It is valid until the next one is taken. */
  take(): { readonly tag: number; readonly bytes: Uint8Array } | null {
    if (!this.#ticket.hasEnded) return null;
    this.#ticket.wait();
    const { tag, length } = this.#ticket;
    const bytes = this.#buffers[this.#next]!.subarray(0, length);
    this.#next = 1 - this.#next;
    this.#ticket = this.#receive();
    return { tag, bytes };
  }

  #receive(): Ticket {
    // It may take any time until there is something to do; the links see for themselves whether the other is there.
    return this.#ranks.receive(this.#from, this.#buffers[this.#next]!, undefined, null);
  }
}
