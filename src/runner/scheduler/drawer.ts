/**
 * Draws the tokens of sequences where their logits are: in this process, or at the last rank of a model over several.
 * What it has to know of a sequence is plain data and comes with its first draw, so that it can cross the wire.
 */
import { type Fault, ShoalError, toFault } from '../../shared/errors.js';
import { TokenHistory } from '../sampler/history.js';
import { chances, type SampledChance } from '../sampler/logprobs.js';
import type { ResolvedSampling } from '../sampler/parameters.js';
import type { Words2 } from '../sampler/random.js';
import { Sampler } from '../sampler/sampler.js';

/** How the tokens of one sequence are drawn. */
export interface Drawing {
  readonly sampling: ResolvedSampling;
  /** Of the seed and the choice: `seedKey`. */
  readonly key: Words2;
  /** Tokens that cannot be drawn. */
  readonly forbidden: readonly number[];
  /** Alternatives to report for each token; null = no log probabilities. */
  readonly topLogprobs: number | null;
  /** Prompt as the penalties see it; empty where none looks at it. */
  readonly prompt: readonly number[];
  /** The first tokens of the answer, where another runner drew them already. */
  readonly known: readonly number[];
}

/** One token to draw. */
export interface Draw {
  /** Number of the sequence: no two have the same in the life of a runner. */
  readonly sequence: number;
  /** Which of the step's rows with logits. */
  readonly output: number;
  /** Position in the sequence that the token will have. */
  readonly position: number;
  /** With the first draw of a sequence. */
  readonly drawing?: Drawing;
}

export type Drawn =
  | { readonly token: number; readonly chance: SampledChance | null }
  /** What went wrong concerns this sequence alone. */
  | { readonly fault: Fault };

interface Open {
  readonly drawing: Drawing;
  readonly forbidden: ReadonlySet<number>;
  readonly history: TokenHistory;
  /** Tokens of the answer so far. */
  count: number;
}

export class Drawer {
  readonly #sampler: Sampler;
  readonly #open = new Map<number, Open>();

  constructor(vocabularySize: number) {
    this.#sampler = new Sampler(vocabularySize);
  }

  /** Sequences that have not been forgotten. */
  get size(): number {
    return this.#open.size;
  }

  /** @param logits `[vocabularySize]` of the row */
  draw({ sequence, position, drawing }: Draw, logits: Float32Array): Drawn {
    try {
      const open = this.#opened(sequence, drawing);
      const { sampling, key, topLogprobs, known } = open.drawing;
      const { forbidden, history } = open;
      const token =
        known[open.count] ?? this.#sampler.draw(logits, { sampling, key, forbidden, history, position });
      open.count += 1;
      history.push(token);
      return { token, chance: topLogprobs === null ? null : chances(logits, token, topLogprobs) };
    } catch (error) {
      return { fault: toFault(error) };
    }
  }

  /** The sequence has ended. */
  forget(sequence: number): void {
    this.#open.delete(sequence);
  }

  #opened(sequence: number, drawing: Drawing | undefined): Open {
    if (drawing !== undefined) {
      const history = new TokenHistory(drawing.prompt);
      this.#open.set(sequence, { drawing, forbidden: new Set(drawing.forbidden), history, count: 0 });
    }
    const open = this.#open.get(sequence);
    if (open === undefined)
      throw new ShoalError('engine_error', `nothing is known of how to draw for sequence ${sequence}`);
    return open;
  }
}
