/**
 * Draws the next token: a pure function of logits, parameters, the tokens so far, seed and position. The object only
 * holds scratch memory.
 *
 * Order: penalties, bias and forbidden end tokens → temperature → top-k → top-p (of what top-k left) → min-p. A
 * token with less than `LEAST_SHARE` of the likeliest one's probability is never drawn. The drawn token is
 * the first, in order of id, at which the summed probability passes the random number of (seed, position).
 */
import { ShoalError } from '../../shared/errors.js';
import { Candidates, LEAST_SHARE } from './candidates.js';
import { greatest } from './greedy.js';
import type { TokenHistory } from './history.js';
import type { ResolvedSampling } from './parameters.js';
import { applyPenalties, changesLogits } from './penalties.js';
import { uniform, type Words2 } from './random.js';

export interface Draw {
  readonly sampling: ResolvedSampling;
  /** Of the seed and the choice: `seedKey`. */
  readonly key: Words2;
  /** Tokens that cannot be drawn. */
  readonly forbidden: ReadonlySet<number>;
  /** Prompt and answer so far. */
  readonly history: TokenHistory;
  /** Position in the sequence that the token will have. */
  readonly position: number;
}

export class Sampler {
  readonly #candidates: Candidates;
  readonly #changed: Float32Array;

  constructor(vocabularySize: number) {
    this.#candidates = new Candidates(vocabularySize);
    this.#changed = new Float32Array(vocabularySize);
  }

  /**
   * @param logits `[vocabularySize]`, left unchanged. Minus infinity means that a token cannot be drawn.
   * @throws {ShoalError} `engine_error` when a logit is NaN or plus infinity, or no token can be drawn
   */
  draw(logits: Float32Array, draw: Draw): number {
    const { sampling } = draw;
    let changed = logits;
    if (changesLogits(sampling) || draw.forbidden.size > 0) {
      if (greatest(logits) < 0) throw unusable();
      changed = this.#changed;
      changed.set(logits);
      applyPenalties(changed, sampling, draw.history);
      for (const token of draw.forbidden) changed[token] = Number.NEGATIVE_INFINITY;
    }
    const best = greatest(changed);
    if (best < 0) throw unusable();
    if (sampling.temperature === 0 || sampling.topK === 1) return best;
    const candidates = this.#candidates;
    // Without top-p nothing stands between gathering and min-p, and it can be done at once.
    const leastShare = sampling.topP < 1 ? LEAST_SHARE : Math.max(LEAST_SHARE, sampling.minP);
    candidates.gather(changed, changed[best]!, sampling.temperature, sampling.topK, leastShare);
    candidates.keepTopK(sampling.topK);
    candidates.keepTopP(sampling.topP);
    if (sampling.topP < 1) candidates.keepMinP(sampling.minP);
    return candidates.draw(uniform(draw.key, draw.position));
  }
}

function unusable(): ShoalError {
  return new ShoalError(
    'engine_error',
    'The engine gave logits that are not numbers, or that leave no token to draw. The model file may be damaged; ' +
      'a smaller logit_bias or penalty helps when those were extreme.',
  );
}
