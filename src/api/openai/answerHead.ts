/** What stands in every answer and chunk of one request. */
import { createHash } from 'node:crypto';
import type { GenerationRequest } from '../../shared/generation.js';

export interface AnswerHead {
  readonly id: string;
  readonly object: string;
  /** Seconds since the epoch. */
  readonly created: number;
  readonly model: string;
  /** Changes when the same seed may give another text: with the model and with Shoal's version. */
  readonly system_fingerprint: string;
}

const FINGERPRINT_CHARACTERS = 12;

export function answerHead(generation: GenerationRequest, object: string, version: string): AnswerHead {
  const digest = createHash('sha256').update(`${version}\n${generation.modelId}`).digest('hex');
  return {
    id: generation.commandId,
    object,
    created: Math.floor(Date.now() / 1000),
    model: generation.modelId,
    system_fingerprint: `fp_${digest.slice(0, FINGERPRINT_CHARACTERS)}`,
  };
}
