/** `POST /v1/completions`, the older text endpoint: the request's schema, and its way into a `GenerationRequest`. */
import { z } from 'zod';
import type { GenerationInput, GenerationRequest } from '../../shared/generation.js';
import type { CommandId } from '../../shared/ids.js';
import { LIMITS } from '../../shared/limits.js';
import { addFieldIssue, isFalse, isOneOf, refused } from '../http/schema.js';
import { checkCommon, commonFields, toCommonRequest } from './parameters.js';

/** OpenAI's default for this endpoint. */
const DEFAULT_MAX_TOKENS = 16;
const LARGEST_TOKEN = 2 ** 31 - 1;

const isToken = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= LARGEST_TOKEN;

/** One rule for the whole list: a long list of wrong items is one mistake, not a million. */
const tokenList = z
  .custom<number[]>(
    (value) =>
      Array.isArray(value) && value.length > 0 && value.length <= LIMITS.promptTokens && value.every(isToken),
    `Token ids are whole numbers from 0, between 1 and ${LIMITS.promptTokens} of them.`,
  )
  .meta({
    type: 'array',
    items: { type: 'integer', minimum: 0 },
    minItems: 1,
    maxItems: LIMITS.promptTokens,
  });

const prompt = z
  .union([
    z.string(),
    tokenList,
    z.tuple([z.string()]).describe('One prompt in a list.'),
    z.tuple([tokenList]).describe('One prompt of tokens in a list.'),
  ])
  .describe('One prompt, as text or as token ids. Send several prompts as several requests.');

export const completionRequestSchema = z
  .strictObject({
    ...commonFields,
    prompt,
    logprobs: z
      .int()
      .min(0)
      .max(LIMITS.topLogprobs)
      .nullish()
      .describe('Report log probabilities, with this many alternatives.'),
    best_of: z.int().min(1).nullish().describe('Only as many as `n`; more are refused.'),
    echo: refused('The prompt is not repeated.', isFalse),
    suffix: refused('Text is only continued at its end.', isOneOf('')),
  })
  .superRefine((body, context) => {
    checkCommon(body, context);
    if (body.best_of != null && body.best_of !== (body.n ?? 1)) {
      addFieldIssue(context, 'best_of', 'All choices are returned: it must equal `n`.');
    }
  })
  .meta({ id: 'CompletionRequest' });

export type CompletionRequestBody = z.output<typeof completionRequestSchema>;

export function toCompletionGeneration(body: CompletionRequestBody, commandId: CommandId): GenerationRequest {
  return {
    ...toCommonRequest(body),
    commandId,
    input: toInput(body.prompt),
    maxTokens: body.max_tokens ?? DEFAULT_MAX_TOKENS,
    topLogprobs: body.logprobs ?? null,
  };
}

function toInput(given: CompletionRequestBody['prompt']): GenerationInput {
  if (typeof given === 'string') return { kind: 'text', text: given };
  const [first] = given;
  if (typeof first === 'string') return { kind: 'text', text: first };
  return { kind: 'tokens', tokens: Array.isArray(first) ? first : (given as number[]) };
}
