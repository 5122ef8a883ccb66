/** The native arrays of one decode, allocated once and filled for each step. */
import type { StepInput } from '../contract.js';
import { allocate, type NativeBlock } from './binding/nativeMemory.js';
import type { Batch } from './binding/structs.js';

const BYTES_OF_INT = 4;
const BYTES_OF_POINTER = 8;

export class StepBatch {
  readonly #block: NativeBlock;
  readonly #tokens: Int32Array;
  readonly #positions: Int32Array;
  readonly #sequences: Int32Array;
  readonly #outputs: Uint8Array;
  readonly #batch: Batch;

  /** @param rows most rows of a step */
  constructor(rows: number) {
    // Pointers first: everything behind them stays aligned.
    const sizes = {
      sequencePointers: rows * BYTES_OF_POINTER,
      tokens: rows * BYTES_OF_INT,
      positions: rows * BYTES_OF_INT,
      sequences: rows * BYTES_OF_INT,
      sequenceCounts: rows * BYTES_OF_INT,
      outputs: rows,
    };
    const total = Object.values(sizes).reduce((sum, size) => sum + size, 0);
    const block = allocate(total);
    this.#block = block;

    let offset = 0;
    const next = (sizeBytes: number): number => {
      const start = offset;
      offset += sizeBytes;
      return start;
    };
    const pointersAt = next(sizes.sequencePointers);
    const tokensAt = next(sizes.tokens);
    const positionsAt = next(sizes.positions);
    const sequencesAt = next(sizes.sequences);
    const countsAt = next(sizes.sequenceCounts);
    const outputsAt = next(sizes.outputs);

    this.#tokens = new Int32Array(block.buffer, tokensAt, rows);
    this.#positions = new Int32Array(block.buffer, positionsAt, rows);
    this.#sequences = new Int32Array(block.buffer, sequencesAt, rows);
    this.#outputs = new Uint8Array(block.buffer, outputsAt, rows);
    new Int32Array(block.buffer, countsAt, rows).fill(1);
    const pointers = new BigInt64Array(block.buffer, pointersAt, rows);
    for (let row = 0; row < rows; row += 1) {
      pointers[row] = BigInt(block.address + sequencesAt + row * BYTES_OF_INT);
    }
    this.#batch = {
      n_tokens: 0,
      token: block.address + tokensAt,
      embd: 0,
      pos: block.address + positionsAt,
      n_seq_id: block.address + countsAt,
      seq_id: block.address + pointersAt,
      logits: block.address + outputsAt,
    };
  }

  /** Takes over checked rows. The result is valid until the next call. */
  fill(input: StepInput & { readonly tokens: Int32Array }): Batch {
    this.#tokens.set(input.tokens);
    this.#positions.set(input.positions);
    this.#sequences.set(input.sequences);
    this.#outputs.set(input.outputs);
    this.#batch.n_tokens = input.tokens.length;
    return this.#batch;
  }

  free(): void {
    this.#block.free();
  }
}
