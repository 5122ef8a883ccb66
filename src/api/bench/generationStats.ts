/** Speed of one generation in the form of contract.md. */
import { z } from 'zod';
import type { GenerationStats } from '../../shared/generation.js';

export const generationStatsSchema = z
  .object({
    prompt_tokens: z.int(),
    generation_tokens: z.int().describe('Of all choices.'),
    prompt_tps: z
      .number()
      .describe('Prompt tokens that were computed, not cached, for each second of prefill.'),
    generation_tps: z
      .number()
      .describe('Tokens after the first of each choice, for each second of decoding.'),
    time_to_first_token_ms: z.number(),
    peak_memory_bytes: z.int(),
    prefix_cache_hit: z.enum(['none', 'partial', 'exact']),
    moves: z
      .int()
      .describe('How often the answer went on at another place, because the one before was lost.'),
  })
  .meta({ id: 'GenerationStats' });

export function toGenerationStats(
  stats: GenerationStats,
  choices: number,
): z.output<typeof generationStatsSchema> {
  const computed = stats.promptTokens - stats.cachedPromptTokens;
  return {
    prompt_tokens: stats.promptTokens,
    generation_tokens: stats.generatedTokens,
    prompt_tps: perSecond(computed, stats.prefillMs),
    generation_tps: perSecond(Math.max(0, stats.generatedTokens - choices), stats.decodeMs),
    time_to_first_token_ms: stats.timeToFirstTokenMs,
    peak_memory_bytes: stats.peakMemoryBytes,
    prefix_cache_hit: cacheHit(computed, stats.cachedPromptTokens),
    moves: stats.moves ?? 0,
  };
}

/** The last prompt token is always computed: its logits give the first token. */
const LEAST_COMPUTED_TOKENS = 1;

function cacheHit(computed: number, cached: number): 'none' | 'partial' | 'exact' {
  if (cached === 0) return 'none';
  return computed <= LEAST_COMPUTED_TOKENS ? 'exact' : 'partial';
}

function perSecond(count: number, durationMs: number): number {
  return durationMs > 0 ? (count * 1000) / durationMs : 0;
}
