/**
 * The form of what travels between two ranks: frames of a header of 16 bytes and a payload. The header, little-endian:
 * magic (2), version (1), kind (1), sequence (4), tag (4), payload length (4). The sequence counts the frames of one
 * direction, so that a lost, repeated or displaced frame shows.
 */
import { LIMITS } from '../../shared/limits.js';

export const HEADER_BYTES = 16;
const MAGIC = 0x5c0a;
/** Ranks of different versions cannot form one model. */
export const COLLECTIVE_PROTOCOL = 1;

export const KIND = {
  /** Who I am, with proof; the first frame of each end. */
  hello: 1,
  /** Measures a path; the other end sends it back as `echo`. */
  probe: 2,
  echo: 3,
  /** From the dialling end: of all paths this one is the link. */
  choose: 4,
  /** From one rank to another. The tag is the caller's. */
  tensor: 5,
  /** From one rank to all. The tag is the rank that it comes from. */
  control: 6,
  /** What one rank, or a row of ranks, contributes to an operation of all. The tag numbers the operation. */
  part: 7,
  /** A result of an operation of all, from the rank that computed it. */
  result: 8,
  /** Bytes of a lane that were taken: the lane in the top four bits of the tag, the bytes below. */
  credit: 9,
  ping: 10,
  pong: 11,
  /** The last frame of an end: the fault that ends the collective. */
  abort: 12,
  /** The last frame of an end that closes without a fault. */
  goodbye: 13,
} as const;

export type Kind = (typeof KIND)[keyof typeof KIND];

export const PROBE_BYTES = 16 * 1024;
export const HELLO_BYTES = 40;
const ABORT_BYTES = 4 * 1024;

const LONGEST: Readonly<Record<Kind, number>> = {
  [KIND.hello]: HELLO_BYTES,
  [KIND.probe]: PROBE_BYTES,
  [KIND.echo]: PROBE_BYTES,
  [KIND.choose]: 0,
  [KIND.tensor]: LIMITS.collectiveTensorBytes,
  [KIND.control]: LIMITS.collectiveControlBytes,
  [KIND.part]: LIMITS.collectiveTensorBytes,
  [KIND.result]: LIMITS.collectiveTensorBytes,
  [KIND.credit]: 0,
  [KIND.ping]: 0,
  [KIND.pong]: 0,
  [KIND.abort]: ABORT_BYTES,
  [KIND.goodbye]: 0,
};

export interface FrameHeader {
  readonly kind: Kind;
  readonly tag: number;
  /** Bytes of the payload. */
  readonly length: number;
}

/** The other end said what no rank of this version says at this place. The link cannot be used further. */
export class WireError extends Error {
  override readonly name = 'WireError';
}

export function encodeHeader(kind: Kind, sequence: number, tag: number, length: number): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt16LE(MAGIC, 0);
  header[2] = COLLECTIVE_PROTOCOL;
  header[3] = kind;
  header.writeUInt32LE(sequence, 4);
  header.writeUInt32LE(tag, 8);
  header.writeUInt32LE(length, 12);
  return header;
}

/**
 * @param expected sequence that the frame must have
 * @throws {WireError} when it is no header, or not the next one
 */
export function decodeHeader(header: Buffer, expected: number): FrameHeader {
  if (header.readUInt16LE(0) !== MAGIC) throw new WireError('bytes that are no frame');
  if (header[2] !== COLLECTIVE_PROTOCOL) {
    throw new WireError(`a frame of version ${header[2]} instead of ${COLLECTIVE_PROTOCOL}`);
  }
  const kind = header[3] as Kind;
  const longest = LONGEST[kind];
  if (longest === undefined) throw new WireError(`a frame of the unknown kind ${kind}`);
  const sequence = header.readUInt32LE(4);
  if (sequence !== expected) {
    const what = (sequence - expected) >>> 0 > 0x7fffffff ? 'a repeated or late frame' : 'a frame too early';
    throw new WireError(`${what}: number ${sequence} instead of ${expected}`);
  }
  const length = header.readUInt32LE(12);
  if (length > longest) throw new WireError(`a payload of ${length} bytes, over the limit of ${longest}`);
  return { kind, tag: header.readUInt32LE(8), length };
}
