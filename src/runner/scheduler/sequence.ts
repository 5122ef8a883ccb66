import type { Task } from './task.js';

/** One choice of a running request: its tokens, and how many of them the engine has in its cells. */
export class Sequence {
  readonly choice: number;
  readonly slot: number;
  /** Prompt, then answer; `length` of them are known. */
  readonly tokens: Int32Array;
  readonly promptTokens: number;
  length: number;
  /** Tokens whose cells exist. A decoding sequence has all but its last token. */
  computed = 0;
  /** Tokens whose cells exist once the steps on their way have been computed. */
  planned = 0;
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
  }

  get answerTokens(): number {
    return this.length - this.promptTokens;
  }

  /** It computes its prompt, chunk by chunk. */
  get isPrefilling(): boolean {
    return !this.isFinished && !this.#takesPrompt && this.computed < this.promptTokens;
  }

  /** The prompt is in the cells, and its answer has begun. */
  get isDecoding(): boolean {
    return !this.isFinished && this.length > this.promptTokens;
  }

  /** Its last token waits to be computed, and is on its way in no step. */
  get isReady(): boolean {
    return this.isDecoding && this.planned < this.length;
  }

  /** It has these tokens in its cells, and nothing on its way. */
  standAt(tokens: number): void {
    this.computed = tokens;
    this.planned = tokens;
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
