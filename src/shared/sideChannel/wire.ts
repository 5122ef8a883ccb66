/**
 * What runner and worker say on a side channel's two pipes: frames of a round (4 bytes), a count of blobs (4), and the
 * blobs, each behind its length (4), little-endian. A runner says one blob; the worker answers with those of all ranks.
 * `NO_BLOBS` as the count means that the round has failed, and the only blob says why.
 */
import { LIMITS } from '../limits.js';

/** Environment variables with the paths of the pipes that a runner reads from and writes to. */
export const SIDE_CHANNEL_IN = 'SHOAL_SIDE_CHANNEL_IN';
export const SIDE_CHANNEL_OUT = 'SHOAL_SIDE_CHANNEL_OUT';

const NO_BLOBS = 0xffffffff;
const WORD_BYTES = 4;

export interface SideChannelFrame {
  readonly round: number;
  /** In the order of ranks; null when the round has failed. */
  readonly blobs: readonly Uint8Array[] | null;
  /** Why, when it has. */
  readonly reason: string | null;
}

export class SideChannelWireError extends Error {
  override readonly name = 'SideChannelWireError';
}

/** @throws {SideChannelWireError} when a blob is longer than `sideChannelBlobBytes` */
export function encodeBlobs(round: number, blobs: readonly Uint8Array[]): Buffer {
  for (const { length } of blobs) {
    if (length > LIMITS.sideChannelBlobBytes) {
      throw new SideChannelWireError(
        `a blob of ${length} bytes is over the limit of ${LIMITS.sideChannelBlobBytes}`,
      );
    }
  }
  return encode(round, blobs.length, blobs);
}

export function encodeFailure(round: number, reason: string): Buffer {
  return encode(round, NO_BLOBS, [Buffer.from(reason).subarray(0, LIMITS.sideChannelBlobBytes)]);
}

/** Cuts what comes through a pipe into frames, however it was cut up on the way. Holds one frame and one chunk at most. */
export class SideChannelReader {
  readonly #mostBlobs: number;
  #held: Buffer = Buffer.alloc(0);

  constructor(mostBlobs: number) {
    this.#mostBlobs = mostBlobs;
  }

  /** @throws {SideChannelWireError} on more or longer blobs than may be; nothing can be read after it */
  push(chunk: Buffer): SideChannelFrame[] {
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const frames: SideChannelFrame[] = [];
    for (let frame = this.#next(); frame !== null; frame = this.#next()) frames.push(frame);
    return frames;
  }

  #next(): SideChannelFrame | null {
    const held = this.#held;
    if (held.length < 2 * WORD_BYTES) return null;
    const [round, count] = [held.readUInt32LE(0), held.readUInt32LE(WORD_BYTES)];
    if (count !== NO_BLOBS && count > this.#mostBlobs) throw new SideChannelWireError(`${count} blobs`);
    const blobs: Buffer[] = [];
    let at = 2 * WORD_BYTES;
    for (let index = 0; index < (count === NO_BLOBS ? 1 : count); index += 1) {
      if (held.length < at + WORD_BYTES) return null;
      const length = held.readUInt32LE(at);
      if (length > LIMITS.sideChannelBlobBytes) throw new SideChannelWireError(`a blob of ${length} bytes`);
      at += WORD_BYTES;
      if (held.length < at + length) return null;
      blobs.push(held.subarray(at, at + length));
      at += length;
    }
    this.#held = held.subarray(at);
    if (count === NO_BLOBS) return { round, blobs: null, reason: blobs[0]!.toString() };
    return { round, blobs, reason: null };
  }
}

function encode(round: number, count: number, blobs: readonly Uint8Array[]): Buffer {
  const head = Buffer.alloc(2 * WORD_BYTES);
  head.writeUInt32LE(round, 0);
  head.writeUInt32LE(count, WORD_BYTES);
  const pieces: Uint8Array[] = [head];
  for (const blob of blobs) {
    const length = Buffer.alloc(WORD_BYTES);
    length.writeUInt32LE(blob.length, 0);
    pieces.push(length, blob);
  }
  return Buffer.concat(pieces);
}
