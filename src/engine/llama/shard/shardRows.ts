/** How rows go into a shard and come out of it: tokens are looked up, hidden states or logits are collected. */
import { ShoalError } from '../../../shared/errors.js';
import type { StepInput, StepResult } from '../../contract.js';
import type { Address } from '../binding/declarations.js';
import type { Native } from '../binding/native.js';
import type { Batch } from '../binding/structs.js';
import { LogitsView } from '../logitsView.js';
import { StepBatch } from '../stepBatch.js';
import type { StepRows } from '../stepRows.js';
import type { EmbeddingRows } from './embeddingRows.js';
import type { NodeTap } from './nodeTap.js';
import { rowGroups } from './rowGroups.js';

export interface ShardRowsOptions {
  /** Most rows of a step. */
  readonly rows: number;
  readonly hiddenSize: number;
  readonly vocabularySize: number;
  readonly isLast: boolean;
  readonly positionsPerRow: number;
  /** The model reorders rows (`rowGroups`). */
  readonly reorders: boolean;
}

interface Components {
  readonly native: Native;
  readonly context: Address;
  /** Null for a later shard. */
  readonly embeddings: EmbeddingRows | null;
  readonly tap: NodeTap;
}

export class ShardRows implements StepRows {
  readonly #components: Components;
  readonly #options: ShardRowsOptions;
  readonly #batch: StepBatch;
  readonly #logits: LogitsView;
  /** Every row of a shard that is not the last is an output to llama.cpp, which else leaves it out of its last layer. */
  readonly #allOutputs: Uint8Array;
  #result: StepResult = { kind: 'aborted' };

  constructor(components: Components, options: ShardRowsOptions) {
    this.#components = components;
    this.#options = options;
    this.#batch = new StepBatch(options.rows, {
      rowWidth: options.hiddenSize,
      positionsPerRow: options.positionsPerRow,
    });
    this.#logits = new LogitsView(components.native, components.context, options.vocabularySize);
    this.#allOutputs = new Uint8Array(options.rows).fill(1);
  }

  *batches(input: StepInput): Generator<Batch> {
    const rows = input.positions.length;
    const groups = this.#options.reorders ? rowGroups(input.sequences) : [];
    if (groups.length <= 1 && isAscending(groups[0] ?? [])) {
      yield this.#fill(input);
      this.#result = this.#collected(rows, outputsOf(input));
      return;
    }
    const hidden = new Float32Array(this.#options.isLast ? 0 : rows * this.#options.hiddenSize);
    const logits: Float32Array[] = [];
    for (const group of groups) {
      const part = select(input, group, this.#options.hiddenSize);
      yield this.#fill(part);
      const result = this.#collected(group.length, outputsOf(part));
      if (result.kind === 'hidden') scatter(result.hidden, hidden, group);
      if (result.kind === 'logits') {
        const asking = group.filter((row) => input.outputs[row] !== 0);
        for (const [index, row] of asking.entries())
          logits[row] = Float32Array.from(result.rows[index] ?? []);
      }
    }
    this.#result = this.#options.isLast
      ? { kind: 'logits', rows: logits.filter((row) => row !== undefined) }
      : { kind: 'hidden', hidden };
  }

  result(): StepResult {
    return this.#result;
  }

  free(): void {
    this.#batch.free();
  }

  #fill(input: StepInput): Batch {
    const { embeddings, tap } = this.#components;
    const rows = input.positions.length;
    if (embeddings !== null) embeddings.write(input.tokens ?? new Int32Array(0), this.#batch.hiddenAddress);
    else this.#batch.hidden.set(input.hidden ?? []);
    tap.begin(this.#batch.hiddenAddress, rows);
    const outputs = this.#options.isLast ? input.outputs : this.#allOutputs.subarray(0, rows);
    return this.#batch.fill(input.positions, input.sequences, outputs);
  }

  #collected(rows: number, outputs: number): StepResult {
    if (this.#options.isLast) return { kind: 'logits', rows: this.#logits.rows(outputs) };
    const hidden = this.#components.tap.taken(rows);
    if (hidden !== null) return { kind: 'hidden', hidden };
    throw new ShoalError('engine_error', `A graph of ${rows} rows gave no hidden states for the next shard.`);
  }
}

function outputsOf({ outputs }: StepInput): number {
  return outputs.reduce((sum, output) => sum + (output === 0 ? 0 : 1), 0);
}

function isAscending(rows: readonly number[]): boolean {
  return rows.every((row, index) => row === index);
}

function select(input: StepInput, rows: readonly number[], hiddenSize: number): StepInput {
  const pick = (values: Int32Array): Int32Array => Int32Array.from(rows, (row) => values[row] as number);
  let hidden: Float32Array | null = null;
  if (input.hidden !== null) {
    hidden = new Float32Array(rows.length * hiddenSize);
    for (const [index, row] of rows.entries()) {
      hidden.set(input.hidden.subarray(row * hiddenSize, (row + 1) * hiddenSize), index * hiddenSize);
    }
  }
  return {
    tokens: input.tokens === null ? null : pick(input.tokens),
    hidden,
    positions: pick(input.positions),
    sequences: pick(input.sequences),
    outputs: Uint8Array.from(rows, (row) => input.outputs[row] as number),
  };
}

function scatter(from: Float32Array, to: Float32Array, rows: readonly number[]): void {
  const width = from.length / rows.length;
  for (const [index, row] of rows.entries()) {
    to.set(from.subarray(index * width, (index + 1) * width), row * width);
  }
}
