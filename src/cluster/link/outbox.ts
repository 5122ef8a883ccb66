/**
 * What one end of a link has yet to write. Frames of the link itself and control messages go first, in order; streams
 * with something to send take turns, a piece each. The transport is never given more than it takes, so that a control
 * message waits behind one batch of stream bytes at most, and not behind all that streams would like to send.
 */
import type { Writable } from 'node:stream';
import { encodeFrame, type FrameType } from './wire.js';

const BATCH_BYTES = 128 * 1024;

/** A stream with bytes to send. */
export interface PieceSource {
  /**
   * Appends the next frame to the batch.
   * @returns whether there is another at once
   */
  takePiece(batch: Buffer[]): boolean;
}

export class Outbox {
  readonly #transport: Writable;
  #urgent: Buffer[] = [];
  #urgentBytes = 0;
  readonly #ready = new Set<PieceSource>();
  #isScheduled = false;
  #isBlocked = false;
  #isClosed = false;

  constructor(transport: Writable) {
    this.#transport = transport;
    transport.on('drain', () => {
      this.#isBlocked = false;
      this.#flush();
    });
  }

  /** Bytes that wait, apart from those of streams. */
  get waitingBytes(): number {
    return this.#urgentBytes + this.#transport.writableLength;
  }

  send(type: FrameType, streamId: number, payload?: Buffer): void {
    if (this.#isClosed) return;
    const frame = encodeFrame(type, streamId, payload);
    this.#urgent.push(frame);
    this.#urgentBytes += frame.length;
    this.#schedule();
  }

  /** The source has something to send. */
  ready(source: PieceSource): void {
    if (this.#isClosed) return;
    this.#ready.add(source);
    this.#schedule();
  }

  /** The source has nothing to send any more. */
  remove(source: PieceSource): void {
    this.#ready.delete(source);
  }

  /** Writes a last frame behind those that the transport has, and ends it. What waits is dropped. */
  close(type: FrameType, payload: Buffer): void {
    if (this.#isClosed) return;
    this.#drop();
    this.#transport.end(encodeFrame(type, 0, payload));
  }

  /** The transport is gone. */
  abandon(): void {
    this.#drop();
  }

  #drop(): void {
    this.#isClosed = true;
    this.#urgent = [];
    this.#urgentBytes = 0;
    this.#ready.clear();
  }

  /** Frames of one turn of the event loop are written together. */
  #schedule(): void {
    if (this.#isScheduled || this.#isBlocked) return;
    this.#isScheduled = true;
    process.nextTick(() => {
      this.#isScheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (!this.#isBlocked && !this.#isClosed) {
      const batch = this.#nextBatch();
      if (batch.length === 0) return;
      const bytes = batch.length === 1 ? batch[0]! : Buffer.concat(batch);
      // A stream that was told of its progress may have closed the link meanwhile.
      if (this.#isClosed) return;
      this.#isBlocked = !this.#transport.write(bytes);
    }
  }

  #nextBatch(): Buffer[] {
    const batch: Buffer[] = [];
    let sizeBytes = 0;
    let taken = 0;
    while (taken < this.#urgent.length && sizeBytes < BATCH_BYTES) {
      const frame = this.#urgent[taken]!;
      batch.push(frame);
      sizeBytes += frame.length;
      taken += 1;
    }
    this.#urgentBytes -= sizeBytes;
    this.#urgent = taken === this.#urgent.length ? [] : this.#urgent.slice(taken);
    for (const source of this.#ready) {
      if (sizeBytes >= BATCH_BYTES) break;
      const before = batch.length;
      this.#ready.delete(source);
      // Added anew it comes behind those that wait.
      if (source.takePiece(batch)) this.#ready.add(source);
      for (let index = before; index < batch.length; index += 1) sizeBytes += batch[index]!.length;
    }
    return batch;
  }
}
