/** The words of one choice, drawn from its seed: the same seed, the same words. */
import type { FinishReason, GeneratedTokenLogprob, GenerationRequest } from '../../shared/generation.js';

const WORDS = [
  'a',
  ' shoal',
  ' of',
  ' herring',
  ' turns',
  ' as',
  ' one',
  ' in',
  ' the',
  ' grey',
  ' sea',
  ' ❄',
  '.',
];
/** Multiplier and increment of Knuth's 64-bit linear congruential generator (MMIX), cut to 64 bits. */
const MULTIPLIER = 6364136223846793005n;
const INCREMENT = 1442695040888963407n;
const HIGH_BITS = 33n;

interface DrawnToken {
  readonly text: string;
  readonly tokens: readonly number[];
  readonly logprobs?: readonly GeneratedTokenLogprob[];
  readonly reason: FinishReason | null;
}

export class DrawnText {
  readonly #request: GenerationRequest;
  readonly #fixedTexts: readonly string[] | undefined;
  #state: bigint;
  #tokens = 0;
  /** Text that may be the beginning of a stop string. */
  #held = '';
  #ended = false;

  constructor(request: GenerationRequest, choice: number, fixedTexts?: readonly string[]) {
    this.#request = request;
    this.#fixedTexts = fixedTexts;
    this.#state = BigInt.asUintN(64, BigInt(request.sampling.seed + choice));
    this.#draw();
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** The next token; its reason is set when it is the last. */
  next(limit: number): DrawnToken {
    const token = this.#draw();
    const fixed = this.#fixedTexts;
    const word = fixed?.[this.#tokens % fixed.length] ?? (WORDS[token] as string);
    this.#tokens += 1;
    const { text, stopped } = this.#release(word);
    const reason = stopped ? 'stop' : this.#tokens >= limit ? 'length' : null;
    this.#ended = reason !== null;
    const rest = reason === 'length' ? this.#held : '';
    return { text: text + rest, tokens: [token], ...this.#logprobs(word), reason };
  }

  #draw(): number {
    this.#state = BigInt.asUintN(64, this.#state * MULTIPLIER + INCREMENT);
    return Number((this.#state >> HIGH_BITS) % BigInt(WORDS.length));
  }

  /** Text that can no longer become a stop string. */
  #release(word: string): { text: string; stopped: boolean } {
    const text = this.#held + word;
    for (const stop of this.#request.stop) {
      const at = text.indexOf(stop);
      if (at >= 0) return { text: text.slice(0, at), stopped: true };
    }
    let hold = 0;
    for (const stop of this.#request.stop) {
      for (let length = Math.min(stop.length - 1, text.length); length > hold; length -= 1) {
        if (text.endsWith(stop.slice(0, length))) hold = length;
      }
    }
    this.#held = text.slice(text.length - hold);
    return { text: text.slice(0, text.length - hold), stopped: false };
  }

  #logprobs(word: string): { logprobs?: readonly GeneratedTokenLogprob[] } {
    const { topLogprobs } = this.#request;
    if (topLogprobs === null) return {};
    const report = (token: string, rank: number) => ({
      token,
      bytes: [...Buffer.from(token)],
      // The rarest alternative is impossible, as with a logit bias of -100.
      logprob: rank === WORDS.length - 1 ? Number.NEGATIVE_INFINITY : Math.log(1 / (rank + 2)),
    });
    return {
      logprobs: [
        { ...report(word, 0), top: WORDS.slice(0, topLogprobs).map((other, rank) => report(other, rank)) },
      ],
    };
  }
}
