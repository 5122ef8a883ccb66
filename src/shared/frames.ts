/**
 * Length-prefixed MessagePack frames on a byte stream: four bytes of length, little-endian, then the message.
 * The reader is bounded: a length past the limit, or bytes that are not MessagePack, throw `FrameError` at once,
 * and the stream cannot be read further.
 */
import { Packr } from 'msgpackr';

const HEADER_BYTES = 4;
/** Chunks that may wait loose for the rest of their message; then they become one, since a chunk has a cost of its own. */
const LOOSE_CHUNKS = 1_024;
const packr = new Packr({ useRecords: false, bundleStrings: false });

export class FrameError extends Error {
  override readonly name = 'FrameError';
}

/** @throws {FrameError} when the message is longer than `limitBytes` */
export function encodeFrame(message: unknown, limitBytes: number): Buffer {
  const body = packr.pack(message);
  if (body.length > limitBytes) {
    throw new FrameError(`a message of ${body.length} bytes is over the limit of ${limitBytes}`);
  }
  const frame = Buffer.allocUnsafe(HEADER_BYTES + body.length);
  frame.writeUInt32LE(body.length, 0);
  body.copy(frame, HEADER_BYTES);
  return frame;
}

/** Cuts a byte stream into messages, whatever the sizes of its chunks. */
export class FrameReader {
  readonly #limitBytes: number;
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** The last chunks that have not been joined yet. */
  #looseChunks = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Takes the next chunk and returns the messages that it completes. */
  push(chunk: Buffer): unknown[] {
    return [...this.messages(chunk)];
  }

  /**
   * Takes the next chunk and gives the messages that it completes one by one: those before a bad frame come out before
   * it throws, so that what is received does not depend on how the stream was cut. Read it to its end.
   */
  *messages(chunk: Buffer): Generator<unknown, void, undefined> {
    this.#keep(chunk);
    for (;;) {
      if (this.#bytes < HEADER_BYTES) return;
      const length = this.#peek(HEADER_BYTES).readUInt32LE(0);
      if (length > this.#limitBytes) {
        throw new FrameError(`a frame of ${length} bytes is over the limit of ${this.#limitBytes}`);
      }
      if (this.#bytes < HEADER_BYTES + length) return;
      this.#take(HEADER_BYTES);
      yield this.#decode(this.#take(length));
    }
  }

  #keep(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    this.#looseChunks += 1;
    if (this.#looseChunks < LOOSE_CHUNKS) return;
    this.#chunks.push(Buffer.concat(this.#chunks.splice(-LOOSE_CHUNKS)));
    this.#looseChunks = 0;
  }

  #decode(body: Buffer): unknown {
    try {
      return packr.unpack(body);
    } catch (error) {
      throw new FrameError(`a frame is not MessagePack: ${(error as Error).message}`);
    }
  }

  /** The first bytes, gathered in the first chunk but not consumed. */
  #peek(length: number): Buffer {
    const first = this.#chunks[0] as Buffer;
    if (first.length >= length) return first;
    this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0] as Buffer;
  }

  #take(length: number): Buffer {
    if (length === 0) return Buffer.alloc(0);
    const first = this.#peek(length);
    this.#bytes -= length;
    this.#looseChunks = 0;
    if (first.length === length) {
      this.#chunks.shift();
      return first;
    }
    this.#chunks[0] = first.subarray(length);
    return first.subarray(0, length);
  }
}
