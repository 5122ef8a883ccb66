/**
 * Ends a text before the first stop string that is complete, and never shows a part of one: the longest suffix that
 * may still become a stop string is held back. "First" means the one whose last character comes first, and of those
 * that end together the longest; so the result does not depend on how the text is cut into tokens. One for each
 * running choice; used by the runner.
 */
export interface StopResult {
  /** Text that is certain to stand before any stop string. */
  readonly text: string;
  /** A stop string is complete; all later text is dropped. */
  readonly stopped: boolean;
}

export class StopStringMatcher {
  readonly #patterns: readonly Pattern[];
  #held: string[] = [];
  #stopped = false;

  /** @param stops none of them empty */
  constructor(stops: readonly string[]) {
    if (stops.includes('')) throw new RangeError('an empty stop string would end every text at once');
    this.#patterns = stops.map((stop) => new Pattern(stop));
  }

  push(text: string): StopResult {
    if (this.#stopped) return { text: '', stopped: true };
    if (this.#patterns.length === 0) return { text, stopped: false };
    const held = this.#held;
    for (const character of text) {
      held.push(character);
      let complete = 0;
      for (const pattern of this.#patterns) {
        if (pattern.advance(character)) complete = Math.max(complete, pattern.length);
      }
      if (complete > 0) {
        this.#stopped = true;
        this.#held = [];
        return { text: held.slice(0, held.length - complete).join(''), stopped: true };
      }
    }
    const partial = Math.max(...this.#patterns.map((pattern) => pattern.matched));
    this.#held = held.slice(held.length - partial);
    return { text: held.slice(0, held.length - partial).join(''), stopped: false };
  }

  /** The text has ended: what was held back is no stop string. */
  flush(): string {
    const text = this.#held.join('');
    this.#held = [];
    this.#stopped = true;
    return text;
  }
}

/** One stop string and how much of it the end of the text matches (Knuth, Morris, Pratt), in characters. */
class Pattern {
  readonly #characters: readonly string[];
  /** `[i]`: length of the longest proper prefix of the first i + 1 characters that is also their suffix. */
  readonly #fallback: number[] = [0];
  matched = 0;

  constructor(text: string) {
    this.#characters = [...text];
    let length = 0;
    for (let index = 1; index < this.#characters.length; index++) {
      length = this.#next(length, this.#characters[index]!);
      this.#fallback.push(length);
    }
  }

  get length(): number {
    return this.#characters.length;
  }

  /** True when this character completes the stop string. */
  advance(character: string): boolean {
    this.matched = this.#next(this.matched, character);
    return this.matched === this.length;
  }

  #next(matched: number, character: string): number {
    let length = matched;
    while (length > 0 && this.#characters[length] !== character) length = this.#fallback[length - 1]!;
    return this.#characters[length] === character ? length + 1 : length;
  }
}
