import { ShoalError } from '../../shared/errors.js';
import type { SamplingParameters } from '../../shared/generation.js';

/** Sampling parameters with every field decided. See `SamplingParameters` for their meaning. */
export type ResolvedSampling = Required<SamplingParameters>;

/** What a model file recommends (`general.sampling.*`). */
export type RecommendedSampling = Partial<Omit<SamplingParameters, 'seed' | 'logitBias'>>;

const NEUTRAL = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
} as const satisfies RecommendedSampling;

type NumericField = keyof typeof NEUTRAL;

const RANGES: Readonly<Record<NumericField, readonly [least: number, most: number, name: string]>> = {
  temperature: [0, Number.MAX_VALUE, 'temperature'],
  topK: [0, Number.MAX_SAFE_INTEGER, 'top_k'],
  topP: [0, 1, 'top_p'],
  minP: [0, 1, 'min_p'],
  repetitionPenalty: [Number.MIN_VALUE, Number.MAX_VALUE, 'repetition_penalty'],
  frequencyPenalty: [-Number.MAX_VALUE, Number.MAX_VALUE, 'frequency_penalty'],
  presencePenalty: [-Number.MAX_VALUE, Number.MAX_VALUE, 'presence_penalty'],
};

/**
 * Decides every field: the request's value, else the model's recommendation, else the neutral value.
 * @throws {ShoalError} `invalid_request` when a value is out of range, or a biased token is not in the vocabulary
 */
export function resolveSampling(
  asked: SamplingParameters,
  recommended: RecommendedSampling,
  vocabularySize: number,
): ResolvedSampling {
  const decided = { ...NEUTRAL };
  for (const field of Object.keys(NEUTRAL) as NumericField[]) {
    const value = asked[field] ?? recommended[field] ?? NEUTRAL[field];
    const [least, most, name] = RANGES[field];
    if (!(value >= least && value <= most)) throw outOfRange(name, value);
    Object.assign(decided, { [field]: value });
  }
  if (!Number.isInteger(decided.topK)) throw outOfRange('top_k', decided.topK);
  if (!Number.isFinite(asked.seed)) throw outOfRange('seed', asked.seed);
  const logitBias = asked.logitBias ?? [];
  for (const [token, bias] of logitBias) {
    if (!Number.isInteger(token) || token < 0 || token >= vocabularySize) {
      throw new ShoalError(
        'invalid_request',
        `logit_bias names token ${token}, which this model does not have.`,
        {
          param: 'logit_bias',
        },
      );
    }
    if (Number.isNaN(bias)) throw outOfRange('logit_bias', bias);
  }
  return { ...decided, seed: asked.seed, logitBias };
}

function outOfRange(param: string, value: number): ShoalError {
  return new ShoalError('invalid_request', `${param} cannot be ${value}.`, { param });
}
