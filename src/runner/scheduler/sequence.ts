import { TokenHistory } from '../sampler/history.js';
import { needsHistory } from '../sampler/penalties.js';
import { seedKey, type Words2 } from '../sampler/random.js';
import type { Task } from './task.js';

const NO_HISTORY = new TokenHistory([]);

/** One choice of a running request: its tokens, and how many of them the engine has in its cells. */
export class Sequence {
  readonly choice: number;
  readonly slot: number;
  readonly key: Words2;
  readonly history: TokenHistory;
  /** Prompt, then answer; `length` of them are known. */
  readonly tokens: Int32Array;
  readonly promptTokens: number;
  length: number;
  /** Tokens whose cells exist. A decoding sequence has all but its last token. */
  computed = 0;
  isFinished = false;
  /** It gets the prompt's cells from the first choice instead of computing them. */
  readonly #takesPrompt: boolean;

  /**
   * @param tokens room for the prompt and the longest answer, with the prompt filled in
   * @param sharesPrompt do the choices share the cells of the prompt?
   */
  constructor(task: Task, choice: number, slot: number, tokens: Int32Array, sharesPrompt: boolean) {
    this.choice = choice;
    this.slot = slot;
    this.#takesPrompt = sharesPrompt && choice > 0;
    this.tokens = tokens;
    this.promptTokens = task.prompt.length;
    this.length = task.prompt.length;
    this.key = seedKey(task.sampling.seed, choice);
    this.history = needsHistory(task.sampling) ? new TokenHistory(task.prompt) : NO_HISTORY;
  }

  get answerTokens(): number {
    return this.length - this.promptTokens;
  }

  /** It computes its prompt, chunk by chunk. */
  get isPrefilling(): boolean {
    return !this.isFinished && !this.#takesPrompt && this.computed < this.promptTokens;
  }

  /** The prompt is in the cells, and the last token waits to be computed. */
  get isDecoding(): boolean {
    return !this.isFinished && this.length > this.promptTokens;
  }

  push(token: number): void {
    this.tokens[this.length] = token;
    this.length += 1;
    if (this.history !== NO_HISTORY) this.history.push(token);
  }

  /** Cells that this sequence may still need. */
  get reservedCells(): number {
    if (this.isFinished) return 0;
    // The last token of the longest answer is never computed.
    const most = this.tokens.length - 1;
    return most - (this.#takesPrompt ? Math.max(this.computed, this.promptTokens) : this.computed);
  }
}
