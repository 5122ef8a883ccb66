/**
 * Checks what another node asks for. The compiler sees to it that every field of a `GenerationRequest` has its check;
 * a field that is not known here is refused, since it cannot be honoured.
 */
import { z } from 'zod';
import type { Failpoint } from '../../shared/failpoints.js';
import { parseFailpoint } from '../../shared/failpoints.js';
import type {
  ChatMessage,
  GenerationInput,
  GenerationRequest,
  ResumedChoice,
  SamplingParameters,
} from '../../shared/generation.js';
import type { CommandId, ModelId, RunnerId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { type Fields, firstProblem, identifier } from './fields.js';
import { GENERATION_PROTOCOL_VERSION, type GenerationHead } from './protocol.js';

/** A later moment is no date. */
const LATEST_DATE_MS = 8.64e15;

/** Text is bounded by the frame that it came in. */
const text = z.string();

const message = z.strictObject({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content: text.nullable(),
  name: z.string().max(LIMITS.messageNameCharacters).optional(),
} satisfies Fields<ChatMessage>);

/** One pass without a copy: a prompt may have a million tokens, and a schema takes 0.1 s for them. */
const tokenList = z.custom<readonly number[]>(
  (value) => Array.isArray(value) && value.length <= LIMITS.promptTokens && value.every(isTokenId),
  `At most ${LIMITS.promptTokens} token ids.`,
);

const input = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('chat'),
    messages: z.array(message).max(LIMITS.messagesPerRequest),
    enableThinking: z.boolean().optional(),
  } satisfies Fields<Extract<GenerationInput, { kind: 'chat' }>>),
  z.strictObject({ kind: z.literal('text'), text } satisfies Fields<
    Extract<GenerationInput, { kind: 'text' }>
  >),
  z.strictObject({ kind: z.literal('tokens'), tokens: tokenList } satisfies Fields<
    Extract<GenerationInput, { kind: 'tokens' }>
  >),
]);

const share = z.number().min(0).max(1).optional();

const sampling = z.strictObject({
  temperature: z.number().min(0).optional(),
  topK: z.int().min(0).optional(),
  topP: share,
  minP: share,
  repetitionPenalty: z.number().positive().optional(),
  frequencyPenalty: z.number().optional(),
  presencePenalty: z.number().optional(),
  logitBias: z
    .array(z.tuple([z.int().min(0), z.number()]))
    .max(LIMITS.logitBiasEntries)
    .optional(),
  seed: z.int(),
} satisfies Fields<SamplingParameters>);

const resumed = z.strictObject({
  tokens: tokenList,
  reason: z.enum(['stop', 'length']).nullable(),
} satisfies Fields<ResumedChoice>);

const failpoint = z.custom<Failpoint>((value) => {
  const { name, arg } = (value ?? {}) as Record<string, unknown>;
  return typeof name === 'string' && parseFailpoint(name)?.name === name && isArgument(arg);
});

const request = z.strictObject({
  commandId: identifier<CommandId>(),
  modelId: identifier<ModelId>(),
  input,
  sampling,
  maxTokens: z.int().min(0).nullable(),
  stop: z.array(z.string().min(1).max(LIMITS.stopStringCharacters)).max(LIMITS.stopStrings),
  ignoreEos: z.boolean(),
  topLogprobs: z.int().min(0).max(LIMITS.topLogprobs).nullable(),
  choices: z.int().min(1).max(LIMITS.choicesPerRequest),
  arrivedAt: z.number().min(0).max(LATEST_DATE_MS).optional(),
  resume: z.array(resumed).max(LIMITS.choicesPerRequest).optional(),
  failpoint: failpoint.optional(),
  deadlineMs: z.number().positive().max(TIMES.requestDeadlineMs),
} satisfies Fields<GenerationRequest>);

const head = z.object({
  version: z.literal(GENERATION_PROTOCOL_VERSION),
  runnerId: identifier<RunnerId>(),
} satisfies Fields<GenerationHead>);

/** @returns the request, or the reason why it is none */
export function readRequest(received: unknown): GenerationRequest | string {
  const result = request.safeParse(received);
  return result.success ? result.data : firstProblem(result.error);
}

/** @returns the head of a stream, or the reason why it is none */
export function readHead(received: unknown): GenerationHead | string {
  const version = (received as { version?: unknown } | null)?.version;
  if (typeof version === 'number' && version !== GENERATION_PROTOCOL_VERSION) {
    return `it speaks version ${version} of the request protocol, and this node ${GENERATION_PROTOCOL_VERSION}`;
  }
  const result = head.safeParse(received);
  return result.success ? result.data : firstProblem(result.error);
}

function isArgument(value: unknown): boolean {
  return value === null || typeof value === 'string';
}

function isTokenId(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0;
}
