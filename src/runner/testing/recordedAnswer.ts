import type { Fault } from '../../shared/errors.js';
import type { FinishReason, GenerationStats } from '../../shared/generation.js';
import type { SampledChance } from '../sampler/logprobs.js';
import type { Answer } from '../scheduler/task.js';

/** Keeps what an answer was told, and throws when it is told something out of order. */
export class RecordedAnswer implements Answer {
  readonly tokens: number[][];
  readonly reasons: (FinishReason | null)[];
  readonly chances: SampledChance[] = [];
  cachedPromptTokens: number | null = null;
  stats: GenerationStats | null = null;
  fault: Fault | null = null;
  /** Tokens that end a choice like a stop string. */
  readonly stopTokens: ReadonlySet<number>;

  constructor(choices: number, stopTokens: ReadonlySet<number> = new Set()) {
    this.tokens = Array.from({ length: choices }, () => []);
    this.reasons = Array.from({ length: choices }, () => null);
    this.stopTokens = stopTokens;
  }

  get hasEnded(): boolean {
    return this.stats !== null || this.fault !== null;
  }

  started(_promptTokens: number, cachedPromptTokens: number): void {
    this.#expect(this.cachedPromptTokens === null, 'started twice');
    this.cachedPromptTokens = cachedPromptTokens;
  }

  token(choice: number, token: number, chance: SampledChance | null): boolean {
    this.#expect(this.cachedPromptTokens !== null, 'a token before the start');
    this.#expect(this.reasons[choice] === null, 'a token after the end of its choice');
    this.tokens[choice]!.push(token);
    if (chance !== null) this.chances.push(chance);
    return this.stopTokens.has(token);
  }

  choiceFinished(choice: number, reason: FinishReason): void {
    this.#expect(this.reasons[choice] === null, 'a choice that ends twice');
    this.reasons[choice] = reason;
  }

  finished(stats: GenerationStats): void {
    this.#expect(!this.reasons.includes(null), 'the end before the end of a choice');
    this.stats = stats;
  }

  failed(fault: Fault): void {
    this.#expect(true, 'a failure');
    this.fault = fault;
  }

  #expect(holds: boolean, what: string): void {
    if (!holds || this.hasEnded) throw new Error(`the answer was told out of order: ${what}`);
  }
}
