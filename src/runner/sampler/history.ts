/**
 * The tokens of prompt and answer as the penalties see them. It is nothing but a summary of the two lists, kept up
 * to date so that a step costs the number of different tokens, not the number of tokens.
 */
export class TokenHistory {
  readonly #distinct = new Set<number>();
  readonly #answerCounts = new Map<number, number>();

  constructor(prompt: Iterable<number>, answer: Iterable<number> = []) {
    for (const token of prompt) this.#distinct.add(token);
    for (const token of answer) this.push(token);
  }

  /** Adds the next token of the answer. */
  push(token: number): void {
    this.#distinct.add(token);
    this.#answerCounts.set(token, (this.#answerCounts.get(token) ?? 0) + 1);
  }

  /** Every token of prompt and answer, once. */
  get distinct(): ReadonlySet<number> {
    return this.#distinct;
  }

  /** How often each token stands in the answer. */
  get answerCounts(): ReadonlyMap<number, number> {
    return this.#answerCounts;
  }
}
