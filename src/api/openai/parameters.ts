/** The parameters that chat and text completions share: schemas, and their way into a `GenerationRequest`. */
import { randomInt } from 'node:crypto';
import { z } from 'zod';
import type { SamplingParameters } from '../../shared/generation.js';
import type { ModelId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { addFieldIssue, boundedArray, isFalse, isOneOf, refused } from '../http/schema.js';

/** OpenAI's bounds. */
const PENALTY_LIMIT = 2;
const BIAS_LIMIT = 100;
const TEMPERATURE_LIMIT = 2;
/** Far past any use; it keeps the arithmetic finite. */
const REPETITION_PENALTY_LIMIT = 10;
/** Room above the seed for the seeds of the other choices. */
const LARGEST_SEED = Number.MAX_SAFE_INTEGER - LIMITS.choicesPerRequest;
/** Drawn seeds stay within 31 bits: short to write down, and exact in every language. */
const DRAWN_SEEDS = 2 ** 31;

const penalty = (meaning: string) =>
  z.number().min(-PENALTY_LIMIT).max(PENALTY_LIMIT).nullish().describe(meaning);

const stopString = z.string().min(1).max(LIMITS.stopStringCharacters);

const logitBias = z
  .record(z.string().regex(/^\d{1,9}$/, 'Keys are token ids.'), z.number().min(-BIAS_LIMIT).max(BIAS_LIMIT))
  .refine((bias) => Object.keys(bias).length <= LIMITS.logitBiasEntries, {
    message: `At most ${LIMITS.logitBiasEntries} tokens may have a bias.`,
  });

const streamOptions = z.strictObject({
  include_usage: z.boolean().nullish().describe('Send a last chunk with the usage.'),
  include_obfuscation: refused('Chunks are not padded.', isFalse),
});

/** Fields that both endpoints honour in the same way. */
export const commonFields = {
  model: z.string().min(1).max(LIMITS.modelIdCharacters).describe('Name of the model, as in `/v1/models`.'),
  stream: z.boolean().nullish().describe('Answer with server-sent events.'),
  stream_options: streamOptions.nullish().describe('Only with `stream: true`.'),
  n: z.int().min(1).max(LIMITS.choicesPerRequest).nullish().describe('Choices; default 1.'),
  max_tokens: z.int().min(1).nullish().describe('Most tokens of one choice.'),
  stop: z
    .union([stopString, boundedArray(stopString, 0, LIMITS.stopStrings)])
    .nullish()
    .describe('Strings that end a choice; they are not part of it.'),
  seed: z
    .int()
    .min(-LARGEST_SEED)
    .max(LARGEST_SEED)
    .nullish()
    .describe('Same seed, same text. Default: drawn.'),
  temperature: z
    .number()
    .min(0)
    .max(TEMPERATURE_LIMIT)
    .nullish()
    .describe('0 = always the likeliest token. Default: what the model recommends, else 1.'),
  top_p: z.number().min(0).max(1).nullish(),
  frequency_penalty: penalty('Lowers a token for each time it stands in the answer.'),
  presence_penalty: penalty('Lowers every token that stands in the answer.'),
  logit_bias: logitBias.nullish().describe('Token ids and what is added to their logits.'),
  user: z
    .string()
    .max(LIMITS.modelIdCharacters)
    .nullish()
    .describe('Whom you serve; goes to the log line of the request.'),
  service_tier: refused('There is one tier.', isOneOf('auto', 'default')),
  top_k: z.int().min(0).nullish().describe('Shoal: keep the k likeliest tokens; 0 = all.'),
  min_p: z
    .number()
    .min(0)
    .max(1)
    .nullish()
    .describe("Shoal: keep tokens with at least this share of the likeliest one's probability."),
  repetition_penalty: z
    .number()
    .positive()
    .max(REPETITION_PENALTY_LIMIT)
    .nullish()
    .describe('Shoal: divides the logits of tokens in prompt and answer; 1 = off.'),
  deadline_ms: z
    .int()
    .min(1)
    .max(TIMES.requestDeadlineMs)
    .nullish()
    .describe(
      `Shoal: milliseconds until the request ends with \`deadline_exceeded\`. Default ${TIMES.requestDeadlineMs}.`,
    ),
  ignore_eos: z.boolean().nullish().describe('Shoal: never end before `max_tokens`.'),
};

const commonSchema = z.object(commonFields);
type CommonBody = z.output<typeof commonSchema>;

/** Rules between the common fields. */
export function checkCommon(body: CommonBody, context: z.core.$RefinementCtx): void {
  if (body.stream_options != null && body.stream !== true) {
    addFieldIssue(context, 'stream_options', 'It is only allowed with `stream: true`.');
  }
}

/** The sampling parameters; those that the client left out stay absent. */
function toSampling(body: CommonBody): SamplingParameters {
  const bias = Object.entries(body.logit_bias ?? {}).map(([token, value]) => [Number(token), value] as const);
  const given = {
    temperature: body.temperature,
    topK: body.top_k,
    topP: body.top_p,
    minP: body.min_p,
    repetitionPenalty: body.repetition_penalty,
    frequencyPenalty: body.frequency_penalty,
    presencePenalty: body.presence_penalty,
    ...(bias.length > 0 ? { logitBias: bias } : {}),
  };
  const present = Object.fromEntries(Object.entries(given).filter(([, value]) => value != null));
  return { ...present, seed: body.seed ?? randomInt(DRAWN_SEEDS) };
}

/** The parts of a `GenerationRequest` that come from the common fields. */
export function toCommonRequest(body: CommonBody) {
  return {
    modelId: body.model as ModelId,
    sampling: toSampling(body),
    stop: typeof body.stop === 'string' ? [body.stop] : (body.stop ?? []),
    ignoreEos: body.ignore_eos ?? false,
    choices: body.n ?? 1,
    deadlineMs: body.deadline_ms ?? TIMES.requestDeadlineMs,
  };
}
