/**
 * What computes the steps that the scheduler plans, and draws the tokens that follow: one engine (`wholeModel.ts`), or
 * the ranks of a model in several processes (`ranks/`), where more than one step may be on its way.
 *
 * Everything takes effect in the order in which it is asked for, on all ranks: what comes after a step sees the cells
 * that this step leaves behind, also while the step is still on its way.
 */
import type { EngineCapacity, StepInput } from '../../engine/contract.js';
import type { Fault, ShoalError } from '../../shared/errors.js';
import type { SampledChance } from '../sampler/logprobs.js';
import type { ResolvedSampling } from '../sampler/parameters.js';
import type { Words2 } from '../sampler/random.js';

/** How the tokens of one sequence are drawn, from its first to its last. */
export interface Drawing {
  readonly sampling: ResolvedSampling;
  /** Of the seed and the choice: `seedKey`. */
  readonly key: Words2;
  /** Tokens that cannot be drawn. */
  readonly forbidden: readonly number[];
  /** Null when the sampling parameters do not look at it. */
  readonly prompt: Int32Array | null;
  /** Null = no log probabilities. */
  readonly topLogprobs: number | null;
  /** The first tokens of the answer, where another runner drew them already. */
  readonly known: Int32Array;
}

/** What was drawn for one sequence, or why nothing could be. */
export type Drawn =
  | { readonly kind: 'token'; readonly token: number; readonly chance: SampledChance | null }
  | { readonly kind: 'failed'; readonly fault: Fault };

export type StepOutcome =
  /** For each sequence that draws, in the order of the plan. */
  | { readonly kind: 'drawn'; readonly drawn: readonly Drawn[] }
  /** The abort flag was set; nothing has changed. */
  | { readonly kind: 'aborted' }
  /** Nothing has changed. */
  | { readonly kind: 'no_room' }
  /** What the step has left in the cells of its sequences is not known. */
  | { readonly kind: 'failed'; readonly error: ShoalError };

export interface StepPlan {
  /** `tokens` are there; `hidden` is null. */
  readonly input: StepInput;
  /** For each row with output, in row order: the sequences that draw their next token from its logits. */
  readonly draws: readonly (readonly number[])[];
}

export interface StepMachine {
  readonly capacity: EngineCapacity;
  /** As `Engine.canTruncate`. */
  readonly canTruncate: boolean;
  /** Steps that may be on their way at once; more bring nothing. */
  readonly depth: number;

  /** A sequence begins: from now on its tokens are drawn like this. */
  begin(sequence: number, drawing: Drawing): void;
  /** As of `Engine`. */
  copyPrefix(from: number, to: number, length: number): void;
  /** As of `Engine`. */
  truncate(sequence: number, length: number): boolean;

  /** Begins a step. @returns its outcome when that is known at once; null when it comes with `take` */
  submit(plan: StepPlan): StepOutcome | null;
  /** The outcome of the next step that is on its way, in the order of `submit`; null when it is not there yet. */
  take(): StepOutcome | null;
}
