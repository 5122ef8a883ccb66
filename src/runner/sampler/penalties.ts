import type { TokenHistory } from './history.js';
import type { ResolvedSampling } from './parameters.js';

/** Do these parameters change any logit, beyond the end tokens that `ignoreEos` forbids? */
export function changesLogits(sampling: ResolvedSampling): boolean {
  return needsHistory(sampling) || sampling.logitBias.length > 0;
}

/** Do these parameters look at the tokens so far? */
export function needsHistory(sampling: ResolvedSampling): boolean {
  return (
    sampling.repetitionPenalty !== 1 || sampling.frequencyPenalty !== 0 || sampling.presencePenalty !== 0
  );
}

/**
 * Changes logits in place, in this order, rounding to float32 after each:
 * 1. repetition, for every token of prompt and answer: divided by the penalty when positive, else multiplied
 *    (CTRL, Keskar et al. 2019, as in Hugging Face transformers);
 * 2. frequency and presence, for every token of the answer: less `count × frequency + presence`
 *    (OpenAI's API reference);
 * 3. bias, added.
 */
export function applyPenalties(
  logits: Float32Array,
  sampling: ResolvedSampling,
  history: TokenHistory,
): void {
  const { repetitionPenalty, frequencyPenalty, presencePenalty } = sampling;
  if (repetitionPenalty !== 1) {
    for (const token of history.distinct) {
      const logit = logits[token]!;
      logits[token] = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
    }
  }
  if (frequencyPenalty !== 0 || presencePenalty !== 0) {
    for (const [token, count] of history.answerCounts) {
      logits[token] = logits[token]! - (count * frequencyPenalty + presencePenalty);
    }
  }
  for (const [token, bias] of sampling.logitBias) logits[token] = logits[token]! + bias;
}
