/** Token counts in OpenAI's form. */
import { z } from 'zod';
import type { GenerationStats } from '../../shared/generation.js';

export const usageSchema = z
  .object({
    prompt_tokens: z.int(),
    completion_tokens: z.int().describe('Of all choices.'),
    total_tokens: z.int(),
    prompt_tokens_details: z.object({
      cached_tokens: z.int().describe('Prompt tokens that the prefix cache had already.'),
      audio_tokens: z.int(),
    }),
    completion_tokens_details: z.object({
      reasoning_tokens: z.int(),
      audio_tokens: z.int(),
      accepted_prediction_tokens: z.int(),
      rejected_prediction_tokens: z.int(),
    }),
  })
  .meta({ id: 'Usage' });

/** @param reasoningTokens those of the generated tokens that were reasoning */
export function toUsage(stats: GenerationStats, reasoningTokens = 0): z.output<typeof usageSchema> {
  return {
    prompt_tokens: stats.promptTokens,
    completion_tokens: stats.generatedTokens,
    total_tokens: stats.promptTokens + stats.generatedTokens,
    prompt_tokens_details: { cached_tokens: stats.cachedPromptTokens, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: reasoningTokens,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}
