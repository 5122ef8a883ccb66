/** How rows go into a slice and come out of it: tokens are looked up, and rank 0 gathers the logits of all ranks. */
import type { SliceSums, StepInput, StepResult } from '../../contract.js';
import type { Address } from '../binding/declarations.js';
import type { Native } from '../binding/native.js';
import type { Batch } from '../binding/structs.js';
import { LogitsView } from '../logitsView.js';
import type { EmbeddingRows } from '../shard/embeddingRows.js';
import { StepBatch } from '../stepBatch.js';
import type { StepRows } from '../stepRows.js';
import type { SumTap } from './sumTap.js';

export interface SliceRowsOptions {
  readonly rank: number;
  readonly worldSize: number;
  /** Most rows of a step, and of those that may ask for logits. */
  readonly rows: number;
  readonly outputRows: number;
  readonly hiddenSize: number;
  /** Tokens of the whole model. */
  readonly vocabularySize: number;
  /** Tokens [first, end) whose logits this rank computes. */
  readonly vocabulary: { readonly first: number; readonly end: number };
}

interface Components {
  readonly native: Native;
  readonly context: Address;
  readonly embeddings: EmbeddingRows;
  readonly tap: SumTap;
  readonly sums: SliceSums;
  readonly abortFlag: Uint8Array;
}

export class SliceRows implements StepRows {
  readonly #components: Components;
  readonly #options: SliceRowsOptions;
  readonly #batch: StepBatch;
  readonly #own: LogitsView;
  /** `[outputRows, vocabularySize]` on rank 0 of several. */
  readonly #gathered: Float32Array;
  #result: StepResult = { kind: 'aborted' };

  constructor(components: Components, options: SliceRowsOptions) {
    const { native, context } = components;
    const { rank, worldSize, rows, outputRows, hiddenSize, vocabulary, vocabularySize } = options;
    this.#components = components;
    this.#options = options;
    this.#batch = new StepBatch(rows, { rowWidth: hiddenSize });
    this.#own = new LogitsView(native, context, vocabulary.end - vocabulary.first);
    this.#gathered = new Float32Array(rank === 0 && worldSize > 1 ? outputRows * vocabularySize : 0);
  }

  *batches(input: StepInput): Generator<Batch> {
    const { embeddings, tap, abortFlag } = this.#components;
    embeddings.write(input.tokens ?? new Int32Array(0), this.#batch.hiddenAddress);
    tap.begin(abortFlag);
    yield this.#batch.fill(input.positions, input.sequences, input.outputs);
    const outputs = input.outputs.reduce((count, output) => count + (output === 0 ? 0 : 1), 0);
    this.#result = tap.end() === 'aborted' ? { kind: 'aborted' } : this.#logits(outputs);
  }

  result(): StepResult {
    return this.#result;
  }

  free(): void {
    this.#batch.free();
  }

  #logits(outputs: number): StepResult {
    const { rank, worldSize, vocabularySize } = this.#options;
    const own = this.#own.rows(outputs);
    if (worldSize === 1) return { kind: 'logits', rows: own };
    const rows = own.map((logits, row) => {
      const gathered = this.#gathered.subarray(row * vocabularySize, (row + 1) * vocabularySize);
      this.#gather(logits, gathered);
      return gathered;
    });
    return rank === 0 ? { kind: 'logits', rows } : { kind: 'added' };
  }

  /** One row, as sums of what each rank has, and zeros where it has nothing. */
  #gather(own: Float32Array, gathered: Float32Array): void {
    const { rank, vocabulary, vocabularySize } = this.#options;
    const { buffer } = this.#components.tap;
    for (let from = 0; from < vocabularySize; from += buffer.length) {
      const piece = buffer.subarray(0, Math.min(buffer.length, vocabularySize - from));
      const end = from + piece.length;
      const [first, last] = [Math.max(from, vocabulary.first), Math.min(end, vocabulary.end)];
      piece.fill(0);
      if (first < last) {
        piece.set(own.subarray(first - vocabulary.first, last - vocabulary.first), first - from);
      }
      this.#components.sums.sum(piece);
      if (rank === 0) gathered.set(piece, from);
    }
  }
}
