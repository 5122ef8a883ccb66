/**
 * The bytes of a store's file: a mark with the version of the format, then frames of length, checksum and MessagePack
 * body. The checksum covers length and body, and no frame is empty, so that neither a torn write nor a stretch of
 * zeros, as file systems leave it after a power cut, is taken for a frame.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { Packr } from 'msgpackr';

const packr = new Packr({ useRecords: false, bundleStrings: false });
const NAME = 'SHOALOG';
const VERSION = '1';
export const FILE_MARK = Buffer.from(NAME + VERSION);
const LENGTH_BYTES = 4;
const HEADER_BYTES = 8;
/** Reading a long file gives way to the rest of the node after so many bytes. */
const TURN_BYTES = 128 * 1024;

/** @throws {RangeError} when the value takes more than `limitBytes` */
export function sealFrame(value: unknown, limitBytes: number): Buffer {
  const body = packr.pack(value);
  if (body.length > limitBytes) {
    throw new RangeError(`${body.length} bytes are over the limit of ${limitBytes}`);
  }
  const frame = Buffer.allocUnsafe(HEADER_BYTES + body.length);
  frame.writeUInt32LE(body.length, 0);
  body.copy(frame, HEADER_BYTES);
  frame.writeUInt32LE(checksum(frame, 0, body.length), LENGTH_BYTES);
  return frame;
}

export interface ReadFrames {
  readonly values: readonly unknown[];
  /** Where each frame ends in the file. */
  readonly ends: readonly number[];
  /** How far the file is whole. */
  readonly goodBytes: number;
}

export type FileMark = 'ours' | 'newer' | 'damaged';

/** Whose file is it? One of a newer format must not be touched. */
export function readMark(bytes: Buffer): FileMark {
  if (bytes.subarray(0, NAME.length).toString('latin1') !== NAME || bytes.length < FILE_MARK.length) {
    return 'damaged';
  }
  const version = bytes.toString('latin1', NAME.length, NAME.length + 1);
  if (version === VERSION) return 'ours';
  return /^[2-9A-Z]$/.test(version) ? 'newer' : 'damaged';
}

/** Reads the frames behind the mark, up to the first that is not whole. */
export async function readFrames(bytes: Buffer): Promise<ReadFrames> {
  const values: unknown[] = [];
  const ends: number[] = [];
  let offset = FILE_MARK.length;
  let turnEnds = TURN_BYTES;
  for (;;) {
    const end = frameEnd(bytes, offset);
    if (end === null) break;
    try {
      values.push(packr.unpack(bytes.subarray(offset + HEADER_BYTES, end)));
    } catch {
      // The checksum is right and the body is not MessagePack: as damaged as a wrong checksum.
      break;
    }
    offset = end;
    ends.push(end);
    if (offset >= turnEnds) {
      turnEnds = offset + TURN_BYTES;
      await nextTurn();
    }
  }
  return { values, ends, goodBytes: Math.min(offset, bytes.length) };
}

function frameEnd(bytes: Buffer, offset: number): number | null {
  if (offset + HEADER_BYTES > bytes.length) return null;
  const length = bytes.readUInt32LE(offset);
  const end = offset + HEADER_BYTES + length;
  if (length === 0 || end > bytes.length) return null;
  return bytes.readUInt32LE(offset + LENGTH_BYTES) === checksum(bytes, offset, length) ? end : null;
}

function checksum(bytes: Buffer, offset: number, length: number): number {
  const ofLength = crc32(bytes.subarray(offset, offset + LENGTH_BYTES));
  const body = offset + HEADER_BYTES;
  return crc32(bytes.subarray(body, body + length), ofLength);
}
