import { needsHistory } from '../sampler/penalties.js';
import { seedKey } from '../sampler/random.js';
import type { Drawing } from './drawer.js';
import type { Task } from './task.js';

/** One choice of a running request: its tokens, and how many of them the engine has in its cells. */
export class Sequence {
  /** No two sequences have the same. */
  readonly number: number;
  readonly choice: number;
  readonly slot: number;
  /** Prompt, then answer; `length` of them are known. */
  readonly tokens: Int32Array;
  readonly promptTokens: number;
  length: number;
  /** Tokens whose cells exist. A sequence that waits for its next token has all that it knows. */
  computed = 0;
  isFinished = false;
  /** It gets the prompt's cells from the first choice instead of computing them. */
  readonly #takesPrompt: boolean;
  readonly #task: Task;

  /**
   * @param tokens room for the prompt and the longest answer, with the prompt filled in
   * @param sharesPrompt do the choices share the cells of the prompt?
   */
  constructor(
    number: number,
    task: Task,
    choice: number,
    slot: number,
    tokens: Int32Array,
    sharesPrompt: boolean,
  ) {
    this.number = number;
    this.#task = task;
    this.choice = choice;
    this.slot = slot;
    this.#takesPrompt = sharesPrompt && choice > 0;
    this.tokens = tokens;
    this.promptTokens = task.prompt.length;
    this.length = task.prompt.length;
  }

  get answerTokens(): number {
    return this.length - this.promptTokens;
  }

  /** It computes its prompt, chunk by chunk. */
  get isPrefilling(): boolean {
    return !this.isFinished && !this.#takesPrompt && this.computed < this.promptTokens;
  }

  /** It has got its first token. */
  get isAnswering(): boolean {
    return !this.isFinished && this.length > this.promptTokens;
  }

  /** The last token waits to be computed. */
  get canDecode(): boolean {
    return this.isAnswering && this.computed < this.length;
  }

  /** How its tokens are drawn. @param endTokens which cannot be drawn, where the answer shall not end by itself */
  drawing(endTokens: ReadonlySet<number>): Drawing {
    const { sampling, prompt, ignoreEos, topLogprobs, resume } = this.#task;
    return {
      sampling,
      key: seedKey(sampling.seed, this.choice),
      forbidden: ignoreEos ? [...endTokens] : [],
      topLogprobs,
      prompt: needsHistory(sampling) ? [...new Set(prompt)] : [],
      known: resume?.[this.choice]?.tokens ?? [],
    };
  }

  push(token: number): void {
    this.tokens[this.length] = token;
    this.length += 1;
  }

  /** Cells that this sequence may still need. */
  get reservedCells(): number {
    if (this.isFinished) return 0;
    // The last token of the longest answer is never computed.
    const most = this.tokens.length - 1;
    return most - (this.#takesPrompt ? Math.max(this.computed, this.promptTokens) : this.computed);
  }
}
