/**
 * One end of a byte stream on a link. Each direction has a window: an end sends only as much as the other has made
 * room for, so that a reader that stands still stops its writer and nobody else. Either end may end its direction,
 * or reset the whole stream with a fault.
 */
import { Duplex } from 'node:stream';
import { type Fault, ShoalError, toFault } from '../../shared/errors.js';
import { LIMITS } from '../../shared/limits.js';
import type { PieceSource } from './outbox.js';
import { encodeHeader, FRAME, WireError } from './wire.js';

const WINDOW_STEPS = 4;
const MOST_CREDIT_BYTES = 2 ** 31;

/** What a stream needs of its link. */
export interface StreamPort {
  ready(stream: LinkStream): void;
  /** Unread bytes that this end of a stream may hold now. */
  windowBytes(): number;
  sendWindow(streamId: number, bytes: number): void;
  sendEnd(streamId: number): void;
  /** The stream is over. @param fault what the other end must hear, or null when both ends know */
  closed(stream: LinkStream, fault: Fault | null): void;
}

export class LinkStream extends Duplex implements PieceSource {
  readonly id: number;
  readonly #port: StreamPort;
  /** Bytes that the other end has room for. */
  #credit = 0;
  /** Bytes that this end has promised room for. */
  #promised: number = LIMITS.streamWindowBytes;
  #pending: Buffer[] = [];
  #pendingDone: ((error?: Error | null) => void) | null = null;
  #hasSentEnd = false;
  #hasReceivedEnd = false;
  #isOverThere = false;

  constructor(id: number, port: StreamPort) {
    super({
      readableHighWaterMark: LIMITS.streamWindowBytes,
      writableHighWaterMark: LIMITS.streamWindowBytes,
    });
    this.id = id;
    this.#port = port;
    // A broken link must not end the process where an owner does not care why its stream closed.
    this.on('error', () => undefined);
  }

  /** The other end has room for so many bytes more. */
  grant(bytes: number): void {
    this.#credit += bytes;
    if (this.#credit > MOST_CREDIT_BYTES) throw new WireError('a stream window without bound');
    if (this.#pending.length > 0) this.#port.ready(this);
  }

  receive(piece: Buffer): void {
    this.#promised -= piece.length;
    if (this.#promised < 0 || this.#hasReceivedEnd)
      throw new WireError('stream bytes that there is no room for');
    if (this.destroyed) return;
    this.push(piece);
    if (this.readableFlowing === true) this.#makeRoom();
  }

  receiveEnd(): void {
    if (this.#hasReceivedEnd) throw new WireError('a stream that ended twice');
    this.#hasReceivedEnd = true;
    if (!this.destroyed) this.push(null);
  }

  /** The stream is over at the other end, or the link is. */
  receiveReset(fault: Fault): void {
    this.#isOverThere = true;
    this.destroy(ShoalError.fromFault(fault));
  }

  takePiece(batch: Buffer[]): boolean {
    const limit = Math.min(this.#credit, LIMITS.linkFrameBytes);
    if (limit === 0 || this.#pending.length === 0) return false;
    const place = batch.length;
    batch.push(Buffer.alloc(0));
    let size = 0;
    while (size < limit && this.#pending.length > 0) {
      const chunk = this.#pending[0]!;
      const part = chunk.length <= limit - size ? chunk : chunk.subarray(0, limit - size);
      if (part === chunk) this.#pending.shift();
      else this.#pending[0] = chunk.subarray(part.length);
      batch.push(part);
      size += part.length;
    }
    batch[place] = encodeHeader(FRAME.streamData, this.id, size);
    this.#credit -= size;
    if (this.#pending.length === 0) this.#finishWrite();
    return this.#pending.length > 0 && this.#credit > 0;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#queue([chunk], done);
  }

  override _writev(chunks: { readonly chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#queue(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#hasSentEnd = true;
    this.#port.sendEnd(this.id);
    done();
  }

  override read(size?: number): unknown {
    const chunk: unknown = super.read(size);
    // Node.js itself looks with a size of 0, whether or not somebody reads.
    if (size !== 0) this.#makeRoom();
    return chunk;
  }

  /** What comes is pushed unasked, within the room that reading made. */
  override _read(): void {
    return;
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const isClean = this.#isOverThere || (this.#hasSentEnd && this.#hasReceivedEnd);
    this.#port.closed(this, isClean ? null : faultOf(error));
    this.#pending = [];
    this.#finishWrite(error ?? new ShoalError('cancelled', 'the stream was closed'));
    done(error);
  }

  #makeRoom(): void {
    const windowBytes = this.#port.windowBytes();
    const room = windowBytes - this.readableLength - this.#promised;
    if (room < windowBytes / WINDOW_STEPS || this.#hasReceivedEnd || this.destroyed) return;
    this.#promised += room;
    this.#port.sendWindow(this.id, room);
  }

  #queue(chunks: readonly Buffer[], done: (error?: Error | null) => void): void {
    this.#pending = chunks.filter(({ length }) => length > 0);
    if (this.#pending.length === 0) {
      done();
      return;
    }
    this.#pendingDone = done;
    if (this.#credit > 0) this.#port.ready(this);
  }

  #finishWrite(error?: Error): void {
    const done = this.#pendingDone;
    this.#pendingDone = null;
    done?.(error ?? null);
  }
}

function faultOf(error: Error | null): Fault {
  return error === null ? { code: 'cancelled', message: 'the other end closed the stream' } : toFault(error);
}
