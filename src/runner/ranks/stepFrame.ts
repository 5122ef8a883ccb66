/**
 * One step on its way from rank to rank, as bytes in memory that both threads share, little-endian: a head of Int32
 * (rows, bytes of the words, hidden numbers, step), for each row token, position, sequence and output (Int32 each), the
 * words in MessagePack, filled up to a multiple of 4, and the hidden states (f32). The words say what is done to the
 * cells before the step, and what is drawn after it.
 */
import { Packr } from 'msgpackr';
import type { StepInput } from '../../engine/contract.js';
import { ShoalError } from '../../shared/errors.js';
import { LIMITS } from '../../shared/limits.js';
import type { Draw } from '../scheduler/drawer.js';

export type CellOperation =
  | { readonly kind: 'copy'; readonly from: number; readonly to: number; readonly length: number }
  | { readonly kind: 'truncate'; readonly sequence: number; readonly length: number };

export interface StepWords {
  readonly operations: readonly CellOperation[];
  readonly draws: readonly Draw[];
  /** Sequences for which nothing is drawn any more. */
  readonly forgotten: readonly number[];
}

export interface ReadStep {
  readonly step: number;
  /** Views of the frame. */
  readonly rows: StepInput;
  readonly words: StepWords;
  /** Bytes before the hidden states. */
  readonly headBytes: number;
}

const HEAD_WORDS = 4;
const ROW_WORDS = 4;
const WORD_BYTES = Int32Array.BYTES_PER_ELEMENT;
const packr = new Packr({ useRecords: false });

/** Bytes that a frame of so many rows may have. */
export function frameBytes(rows: number, hiddenSize: number): number {
  return WORD_BYTES * (HEAD_WORDS + rows * (ROW_WORDS + hiddenSize)) + LIMITS.stepWordsBytes;
}

/**
 * Writes a step without its hidden states.
 * @returns bytes written: where the hidden states begin
 * @throws {ShoalError} `engine_error` when the words are longer than `stepWordsBytes`
 */
export function writeStep(frame: Uint8Array, step: number, rows: StepInput, words: StepWords): number {
  const packed = packr.pack(words);
  if (packed.length > LIMITS.stepWordsBytes) {
    throw new ShoalError('engine_error', `A step has ${packed.length} bytes of words for the other ranks.`);
  }
  const count = rows.positions.length;
  const head = new Int32Array(frame.buffer, frame.byteOffset, HEAD_WORDS + ROW_WORDS * count);
  head.set([count, packed.length, 0, step]);
  const columns = [rows.tokens ?? new Int32Array(count), rows.positions, rows.sequences, rows.outputs];
  for (const [index, column] of columns.entries()) head.set(column, HEAD_WORDS + index * count);
  frame.set(packed, head.byteLength);
  return head.byteLength + padded(packed.length);
}

/** Puts hidden states behind what was written. @returns the length of the whole frame */
export function writeHidden(frame: Uint8Array, headBytes: number, hidden: Float32Array): number {
  new Int32Array(frame.buffer, frame.byteOffset, HEAD_WORDS)[2] = hidden.length;
  new Float32Array(frame.buffer, frame.byteOffset + headBytes, hidden.length).set(hidden);
  return headBytes + hidden.byteLength;
}

/**
 * @param frame as long as what came
 * @param hiddenSize of a row; 0 where no hidden states come
 * @throws {ShoalError} `peer_protocol_error` when it is no step
 */
export function readStep(frame: Uint8Array, hiddenSize: number): ReadStep {
  const words = Math.floor(frame.byteLength / WORD_BYTES);
  if (words < HEAD_WORDS) throw malformed(`it has ${frame.byteLength} bytes`);
  const all = new Int32Array(frame.buffer, frame.byteOffset, words);
  const [count, packedBytes, hiddenNumbers, step] = all.subarray(0, HEAD_WORDS) as unknown as number[];
  const rowsEnd = HEAD_WORDS + ROW_WORDS * count!;
  const headBytes = rowsEnd * WORD_BYTES + padded(packedBytes!);
  const isWhole =
    count! > 0 &&
    packedBytes! >= 0 &&
    hiddenNumbers === count! * hiddenSize &&
    headBytes + hiddenNumbers * WORD_BYTES === frame.byteLength;
  if (!isWhole) throw malformed(`${count} rows in ${frame.byteLength} bytes`);
  const column = (index: number) =>
    all.subarray(HEAD_WORDS + index * count!, HEAD_WORDS + (index + 1) * count!);
  const hidden = new Float32Array(frame.buffer, frame.byteOffset + headBytes, hiddenNumbers);
  return {
    step: step!,
    headBytes,
    rows: {
      tokens: hiddenSize > 0 ? null : column(0),
      hidden: hiddenSize > 0 ? hidden : null,
      positions: column(1),
      sequences: column(2),
      outputs: Uint8Array.from(column(3)),
    },
    words: readWords(frame.slice(rowsEnd * WORD_BYTES, rowsEnd * WORD_BYTES + packedBytes!)),
  };
}

function readWords(packed: Uint8Array): StepWords {
  let words: Partial<StepWords> | null;
  try {
    words = packr.unpack(packed) as Partial<StepWords> | null;
  } catch (error) {
    throw malformed((error as Error).message);
  }
  const { operations, draws, forgotten } = words ?? {};
  if (![operations, draws, forgotten].every(Array.isArray)) throw malformed('it says nothing of its rows');
  return words as StepWords;
}

function padded(bytes: number): number {
  return Math.ceil(bytes / WORD_BYTES) * WORD_BYTES;
}

function malformed(why: string): ShoalError {
  return new ShoalError('peer_protocol_error', `Another rank sent a step that cannot be read: ${why}.`);
}
