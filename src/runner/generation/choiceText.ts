import { Detokenizer } from '../../models/detokenizer.js';
import { StopStringMatcher } from '../../models/stopStrings.js';
import type { GeneratedTokenLogprob } from '../../shared/generation.js';

export interface ChoicePiece {
  readonly text: string;
  /** Of the tokens whose text is out now. */
  readonly logprobs: readonly GeneratedTokenLogprob[];
}

/**
 * The text of one choice as its tokens come: whole characters, and nothing of a stop string. Log probabilities are
 * held back together with the text of their tokens, since they spell it too.
 */
export class ChoiceText {
  readonly #detokenizer = new Detokenizer();
  readonly #stops: StopStringMatcher;
  /** Log probabilities that are held back, with where the text of their token begins. */
  #held: { readonly start: number; readonly logprob: GeneratedTokenLogprob }[] = [];
  #decodedLength = 0;
  #releasedLength = 0;
  #isStopped = false;

  constructor(stops: readonly string[]) {
    this.#stops = new StopStringMatcher(stops);
  }

  /** A stop string has been met. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  push(bytes: Uint8Array, logprob: GeneratedTokenLogprob | null): ChoicePiece {
    if (logprob !== null) this.#held.push({ start: this.#decodedLength, logprob });
    return this.#take(this.#detokenizer.push(bytes));
  }

  /** The choice has ended: gives out what was held back, unless it belongs to a stop string. */
  flush(): ChoicePiece {
    if (this.#isStopped) return { text: '', logprobs: [] };
    const last = this.#take(this.#detokenizer.flush());
    if (this.#isStopped) return last;
    const logprobs = [...last.logprobs, ...this.#held.map(({ logprob }) => logprob)];
    this.#held = [];
    return { text: last.text + this.#stops.flush(), logprobs };
  }

  #take(decoded: string): ChoicePiece {
    this.#decodedLength += decoded.length;
    const { text, stopped } = this.#stops.push(decoded);
    this.#releasedLength += text.length;
    this.#isStopped = stopped;
    // A token is out when the first character that it has a part in is.
    const out = this.#held.filter(({ start }) => start < this.#releasedLength);
    this.#held = this.#held.filter(({ start }) => start >= this.#releasedLength);
    return { text, logprobs: out.map(({ logprob }) => logprob) };
  }
}
