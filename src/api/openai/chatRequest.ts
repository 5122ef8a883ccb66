/** `POST /v1/chat/completions`: the request's schema, and its way into a `GenerationRequest`. */
import { z } from 'zod';
import type { GenerationRequest } from '../../shared/generation.js';
import type { CommandId } from '../../shared/ids.js';
import { LIMITS } from '../../shared/limits.js';
import { addFieldIssue, isEmptyList, isFalse, isOneOf, refused } from '../http/schema.js';
import { messagesSchema, toChatMessages } from './messages.js';
import { checkCommon, commonFields, toCommonRequest } from './parameters.js';

const isTextOnly = (value: unknown): boolean =>
  Array.isArray(value) && value.every((item) => item === 'text');
const isEmptyObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.keys(value).length === 0;
const isTextFormat = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  Object.keys(value).length === 1 &&
  (value as { type?: unknown }).type === 'text';

const NO_TOOLS = 'Tools are not supported yet.';

export const chatRequestSchema = z
  .strictObject({
    ...commonFields,
    messages: messagesSchema,
    max_completion_tokens: z.int().min(1).nullish().describe('The newer name of `max_tokens`.'),
    logprobs: z.boolean().nullish().describe('Report the log probability of each token.'),
    top_logprobs: z
      .int()
      .min(0)
      .max(LIMITS.topLogprobs)
      .nullish()
      .describe('Alternatives to report for each token; needs `logprobs`.'),
    enable_thinking: z
      .boolean()
      .nullish()
      .describe("Shoal: the chat template's thinking switch. Default: the template's own."),
    safety_identifier: z
      .string()
      .max(LIMITS.modelIdCharacters)
      .nullish()
      .describe('The newer name of `user`.'),
    reasoning_effort: refused('Use `enable_thinking`, which the chat template knows.'),
    response_format: refused('The answer is text; JSON modes are not supported yet.', isTextFormat),
    tools: refused(NO_TOOLS, isEmptyList),
    tool_choice: refused(NO_TOOLS, isOneOf('none', 'auto')),
    parallel_tool_calls: refused(NO_TOOLS, (value) => typeof value === 'boolean'),
    functions: refused(NO_TOOLS, isEmptyList),
    function_call: refused(NO_TOOLS, isOneOf('none', 'auto')),
    modalities: refused('The answer is text.', isTextOnly),
    audio: refused('The answer is text.'),
    prediction: refused('Predicted output is not used.'),
    web_search_options: refused('Nothing is searched.'),
    moderation: refused('Nothing is moderated.'),
    store: refused('Answers are not stored.', isFalse),
    metadata: refused('Answers are not stored, and so have no metadata.', isEmptyObject),
    verbosity: refused('Say it in the prompt.', isOneOf('medium')),
    prompt_cache_key: refused('The prompt cache finds shared prefixes by itself.'),
    prompt_cache_options: refused('The prompt cache finds shared prefixes by itself.', isEmptyObject),
    prompt_cache_retention: refused('The prompt cache lives in memory.', isOneOf('in_memory')),
  })
  .superRefine((body, context) => {
    checkCommon(body, context);
    if (body.top_logprobs != null && body.logprobs !== true) {
      addFieldIssue(context, 'top_logprobs', 'It is only allowed with `logprobs: true`.');
    }
    const { max_tokens: older, max_completion_tokens: newer } = body;
    if (older != null && newer != null && older !== newer) {
      addFieldIssue(context, 'max_tokens', 'It contradicts `max_completion_tokens`; send one of them.');
    }
  })
  .meta({ id: 'ChatCompletionRequest' });

export type ChatRequestBody = z.output<typeof chatRequestSchema>;

export function toChatGeneration(body: ChatRequestBody, commandId: CommandId): GenerationRequest {
  return {
    ...toCommonRequest(body),
    commandId,
    input: {
      kind: 'chat',
      messages: toChatMessages(body.messages),
      ...(body.enable_thinking == null ? {} : { enableThinking: body.enable_thinking }),
    },
    maxTokens: body.max_completion_tokens ?? body.max_tokens ?? null,
    topLogprobs: body.logprobs === true ? (body.top_logprobs ?? 0) : null,
  };
}
