/** The native arrays of one decode, allocated once and filled for each step. */
import type { Address } from './binding/declarations.js';
import { allocate, type NativeBlock } from './binding/nativeMemory.js';
import type { Batch } from './binding/structs.js';

const BYTES_OF_NUMBER = 4;
const BYTES_OF_POINTER = 8;

export interface BatchLayout {
  /** Numbers of a row that goes in instead of a token; 0 = rows are tokens. @default 0 */
  readonly rowWidth?: number;
  /** Positions of a row that goes in instead of a token: 4 for rotations in sections. @default 1 */
  readonly positionsPerRow?: number;
}

export class StepBatch {
  /** `[rows]` token ids; not used where rows go in. */
  readonly tokens: Int32Array;
  /** `[rows, rowWidth]` */
  readonly hidden: Float32Array;
  readonly hiddenAddress: Address;
  readonly #positions: Int32Array;
  readonly #sequences: Int32Array;
  readonly #outputs: Uint8Array;
  readonly #batch: Batch;
  readonly #block: NativeBlock;
  readonly #positionsPerRow: number;

  /** @param rows most rows of a step */
  constructor(rows: number, { rowWidth = 0, positionsPerRow = 1 }: BatchLayout = {}) {
    // Pointers first: everything behind them stays aligned.
    const sizes = {
      sequencePointers: rows * BYTES_OF_POINTER,
      tokens: rowWidth > 0 ? 0 : rows * BYTES_OF_NUMBER,
      hidden: rows * rowWidth * BYTES_OF_NUMBER,
      positions: rows * positionsPerRow * BYTES_OF_NUMBER,
      sequences: rows * BYTES_OF_NUMBER,
      sequenceCounts: rows * BYTES_OF_NUMBER,
      outputs: rows,
    };
    const total = Object.values(sizes).reduce((sum, size) => sum + size, 0);
    const block = allocate(total);
    this.#block = block;
    this.#positionsPerRow = positionsPerRow;

    let offset = 0;
    const next = (sizeBytes: number): number => {
      const start = offset;
      offset += sizeBytes;
      return start;
    };
    const pointersAt = next(sizes.sequencePointers);
    const tokensAt = next(sizes.tokens);
    const hiddenAt = next(sizes.hidden);
    const positionsAt = next(sizes.positions);
    const sequencesAt = next(sizes.sequences);
    const countsAt = next(sizes.sequenceCounts);
    const outputsAt = next(sizes.outputs);

    this.tokens = new Int32Array(block.buffer, tokensAt, rowWidth > 0 ? 0 : rows);
    this.hidden = new Float32Array(block.buffer, hiddenAt, rows * rowWidth);
    this.hiddenAddress = block.address + hiddenAt;
    this.#positions = new Int32Array(block.buffer, positionsAt, rows * positionsPerRow);
    this.#sequences = new Int32Array(block.buffer, sequencesAt, rows);
    this.#outputs = new Uint8Array(block.buffer, outputsAt, rows);
    new Int32Array(block.buffer, countsAt, rows).fill(1);
    const pointers = new BigInt64Array(block.buffer, pointersAt, rows);
    for (let row = 0; row < rows; row += 1) {
      pointers[row] = BigInt(block.address + sequencesAt + row * BYTES_OF_NUMBER);
    }
    this.#batch = {
      n_tokens: 0,
      token: rowWidth > 0 ? 0 : block.address + tokensAt,
      embd: rowWidth > 0 ? block.address + hiddenAt : 0,
      pos: block.address + positionsAt,
      n_seq_id: block.address + countsAt,
      seq_id: block.address + pointersAt,
      logits: block.address + outputsAt,
    };
  }

  /** The rows whose tokens or hidden states have been written. The result is valid until the next call. */
  fill(positions: Int32Array, sequences: Int32Array, outputs: Uint8Array): Batch {
    const rows = positions.length;
    this.#positions.set(positions);
    // Position by axis, one axis after the other: text moves along three of them at once, and never along the fourth.
    for (let axis = 1; axis < this.#positionsPerRow; axis += 1) {
      if (axis < MOVING_AXES) this.#positions.set(positions, axis * rows);
      else this.#positions.fill(0, axis * rows, (axis + 1) * rows);
    }
    this.#sequences.set(sequences);
    this.#outputs.set(outputs);
    this.#batch.n_tokens = rows;
    return this.#batch;
  }

  free(): void {
    this.#block.free();
  }
}

const MOVING_AXES = 3;
