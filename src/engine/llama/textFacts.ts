/** What a model file recommends about prompts and sampling. */
import { SAMPLING_KEYS } from '../../models/card.js';
import type { SamplingParameters } from '../../shared/generation.js';
import type { Address } from './binding/declarations.js';
import type { Native } from './binding/native.js';
import { metadata } from './modelFacts.js';

export interface TextFacts {
  /** Jinja source; null when the model has none. */
  readonly chatTemplate: string | null;
  /** From `general.sampling.*`; only what the file says. */
  readonly recommendedSampling: Omit<Partial<SamplingParameters>, 'seed' | 'logitBias'>;
}

export function readTextFacts(native: Native, model: Address): TextFacts {
  const recommended: Record<string, number> = {};
  for (const [parameter, key] of Object.entries(SAMPLING_KEYS)) {
    const text = metadata(native, model, `general.sampling.${key}`);
    const value = text === null ? Number.NaN : Number(text);
    if (Number.isFinite(value)) recommended[parameter] = value;
  }
  return { chatTemplate: native.model.chatTemplate(model, null), recommendedSampling: recommended };
}
