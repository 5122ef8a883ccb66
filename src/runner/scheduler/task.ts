import type { Fault } from '../../shared/errors.js';
import type { FinishReason, GenerationStats, ResumedChoice } from '../../shared/generation.js';
import type { SampledChance } from '../sampler/logprobs.js';
import type { ResolvedSampling } from '../sampler/parameters.js';

/** A request in the scheduler's terms: tokens in, tokens out. */
export interface Task {
  /** The number that the node gave to the request; unique among those that have not ended. */
  readonly request: number;
  readonly prompt: Int32Array;
  readonly sampling: ResolvedSampling;
  /** Most tokens of one choice; null = until the context is full. */
  readonly maxTokens: number | null;
  readonly ignoreEos: boolean;
  /** Null = no log probabilities. */
  readonly topLogprobs: number | null;
  readonly choices: number;
  /** Of each choice, what another runner gave it: those tokens are computed again, not drawn. Null for a new request. */
  readonly resume: readonly ResumedChoice[] | null;
  /** On the scheduler's clock. */
  readonly receivedAtMs: number;
  /** Milliseconds from receipt that the whole request may take. */
  readonly deadlineMs: number;
  readonly answer: Answer;
}

/** Where a task's tokens go. The scheduler calls exactly one of `finished` and `failed`, once, and nothing after it. */
export interface Answer {
  started(promptTokens: number, cachedPromptTokens: number): void;
  /** Takes the next token of a choice; true when its text has met a stop string and the choice is over. */
  token(choice: number, token: number, chance: SampledChance | null): boolean;
  choiceFinished(choice: number, reason: FinishReason): void;
  finished(stats: GenerationStats): void;
  failed(fault: Fault): void;
}
