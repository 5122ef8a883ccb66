/**
 * The form of what travels on a link: frames of an eight-byte header and a payload of bounded length. The header is
 * one byte of type, three of payload length and four of stream id, little-endian. Payloads of `control` and
 * `streamData` are cut-up byte streams, and are handed on as they arrive; all others are handed on whole.
 */
import { LIMITS } from '../../shared/limits.js';

/** Version of everything on a link. Ends of different versions say so to their people and part. */
export const LINK_PROTOCOL = 1;

export const FRAME = {
  /** Who I am, with proof. The first frame of each end. Its form stays the same in all versions. */
  hello: 1,
  /** The link is open: from the end with the smaller id, which decides when there are two connections. */
  open: 2,
  /** The last frame of an end: why it closes. Its form stays the same in all versions. */
  close: 3,
  ping: 4,
  pong: 5,
  /** A piece of the byte stream of length-prefixed control messages. */
  control: 6,
  streamOpen: 7,
  streamAccept: 8,
  streamData: 9,
  /** The reader of a stream lets the other end send so many bytes more. */
  streamWindow: 10,
  streamEnd: 11,
  /** The end of a stream with a fault; nothing more comes on it. */
  streamReset: 12,
} as const;

export type FrameType = (typeof FRAME)[keyof typeof FRAME];

const HEADER_BYTES = 8;
const KNOWN_TYPES: ReadonlySet<number> = new Set(Object.values(FRAME));
const NOTHING = Buffer.alloc(0);

export interface WireFrame {
  readonly type: FrameType;
  readonly streamId: number;
  /** Of `control` and `streamData` a piece, of others all of it. */
  readonly payload: Buffer;
}

/** The other end said what no end of this version says. The link cannot be used further. */
export class WireError extends Error {
  override readonly name = 'WireError';
}

export function encodeHeader(type: FrameType, streamId: number, payloadBytes: number): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32LE(type | (payloadBytes << 8), 0);
  header.writeUInt32LE(streamId, 4);
  return header;
}

export function encodeFrame(type: FrameType, streamId: number, payload: Buffer = NOTHING): Buffer {
  return Buffer.concat([encodeHeader(type, streamId, payload.length), payload]);
}

/** Cuts what arrives into frames, whatever the sizes of its chunks. Holds no more than one frame and one chunk. */
export class WireReader {
  /** Longest payload that is let through, in bytes. */
  limitBytes: number = LIMITS.linkFrameBytes;
  #held: Buffer = NOTHING;
  /** Payload bytes of the running cut-up frame that have yet to come. */
  #missingBytes = 0;
  #type: FrameType = FRAME.control;
  #streamId = 0;

  append(chunk: Buffer): void {
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
  }

  /**
   * The next frame, or null until more has arrived.
   * @throws {WireError} on a frame that is too long or of an unknown type
   */
  next(): WireFrame | null {
    if (this.#missingBytes > 0) return this.#piece();
    if (this.#held.length < HEADER_BYTES) return null;
    const first = this.#held.readUInt32LE(0);
    const type = first & 0xff;
    const length = first >>> 8;
    if (!KNOWN_TYPES.has(type)) throw new WireError(`a frame of the unknown type ${type}`);
    if (length > this.limitBytes) {
      throw new WireError(`a frame of ${length} bytes, over the limit of ${this.limitBytes}`);
    }
    const isCutUp = type === FRAME.control || type === FRAME.streamData;
    if (!isCutUp && this.#held.length < HEADER_BYTES + length) return null;
    this.#type = type as FrameType;
    this.#streamId = this.#held.readUInt32LE(4);
    this.#held = this.#held.subarray(HEADER_BYTES);
    if (!isCutUp) return this.#take(length);
    this.#missingBytes = length;
    return length === 0 ? this.#take(0) : this.#piece();
  }

  #piece(): WireFrame | null {
    const length = Math.min(this.#missingBytes, this.#held.length);
    if (length === 0) return null;
    this.#missingBytes -= length;
    return this.#take(length);
  }

  #take(length: number): WireFrame {
    const payload = this.#held.subarray(0, length);
    this.#held = this.#held.subarray(length);
    return { type: this.#type, streamId: this.#streamId, payload };
  }
}
