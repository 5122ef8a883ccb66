/** How the rows of a step go into native code, and how what it computed comes out: tokens and logits, or not. */
import type { StepInput, StepResult } from '../contract.js';
import type { Address } from './binding/declarations.js';
import type { Native } from './binding/native.js';
import type { Batch } from './binding/structs.js';
import { LogitsView } from './logitsView.js';
import { StepBatch } from './stepBatch.js';

export interface StepRows {
  /**
   * The native batches that together make the step. Each is computed before the next is asked for; when one fails no
   * other is.
   */
  batches(input: StepInput): Iterable<Batch>;
  /** @param outputs rows that asked for logits */
  result(outputs: number): StepResult;
  free(): void;
}

/** A whole model: tokens in, logits out. */
export class TokensToLogits implements StepRows {
  readonly #batch: StepBatch;
  readonly #logits: LogitsView;

  constructor(
    native: Native,
    context: Address,
    options: { readonly rows: number; readonly vocabularySize: number },
  ) {
    this.#batch = new StepBatch(options.rows);
    this.#logits = new LogitsView(native, context, options.vocabularySize);
  }

  batches(input: StepInput): readonly Batch[] {
    this.#batch.tokens.set(input.tokens ?? []);
    return [this.#batch.fill(input.positions, input.sequences, input.outputs)];
  }

  result(outputs: number): StepResult {
    return { kind: 'logits', rows: this.#logits.rows(outputs) };
  }

  free(): void {
    this.#batch.free();
  }
}
