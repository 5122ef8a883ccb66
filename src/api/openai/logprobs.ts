/** Log probabilities in the two forms of OpenAI's API. */
import { z } from 'zod';
import type { GeneratedTokenLogprob, TokenLogprob } from '../../shared/generation.js';

/** What OpenAI reports for a token without any probability: JSON has no infinity. */
const LEAST_LOGPROB = -9999;

const tokenLogprobSchema = z.object({
  token: z.string(),
  logprob: z.number(),
  bytes: z.array(z.int()).nullable(),
});

export const chatLogprobsSchema = z
  .object({
    content: z.array(tokenLogprobSchema.extend({ top_logprobs: z.array(tokenLogprobSchema) })).nullable(),
    refusal: z.null(),
  })
  .meta({ id: 'ChatLogprobs' });

export function toChatLogprobs(
  logprobs: readonly GeneratedTokenLogprob[],
): z.output<typeof chatLogprobsSchema> {
  return {
    content: logprobs.map((token) => ({ ...toChatToken(token), top_logprobs: token.top.map(toChatToken) })),
    refusal: null,
  };
}

function toChatToken(token: TokenLogprob): z.output<typeof tokenLogprobSchema> {
  return { token: token.token, logprob: finite(token.logprob), bytes: [...token.bytes] };
}

export const textLogprobsSchema = z
  .object({
    tokens: z.array(z.string()),
    token_logprobs: z.array(z.number()),
    top_logprobs: z.array(z.record(z.string(), z.number())).nullable(),
    text_offset: z
      .array(z.int())
      .describe('Where the token begins in the text of this choice, in characters.'),
  })
  .meta({ id: 'TextLogprobs' });

export type TextLogprobs = z.output<typeof textLogprobsSchema>;

/** @param offset characters of the choice's text before these tokens */
export function toTextLogprobs(logprobs: readonly GeneratedTokenLogprob[], offset: number): TextLogprobs {
  const offsets: number[] = [];
  let next = offset;
  for (const token of logprobs) {
    offsets.push(next);
    next += token.token.length;
  }
  return {
    tokens: logprobs.map((token) => token.token),
    token_logprobs: logprobs.map((token) => finite(token.logprob)),
    top_logprobs: logprobs.some((token) => token.top.length > 0)
      ? logprobs.map((token) => Object.fromEntries(token.top.map((top) => [top.token, finite(top.logprob)])))
      : null,
    text_offset: offsets,
  };
}

function finite(logprob: number): number {
  return Number.isFinite(logprob) ? logprob : LEAST_LOGPROB;
}
