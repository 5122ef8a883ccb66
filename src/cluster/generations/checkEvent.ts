/** Checks the events that another node sends: each for itself, and their order (`eventOrder.ts`). */
import { z } from 'zod';
import type {
  GeneratedTokenLogprob,
  GenerationEvent,
  GenerationStats,
  ReasoningMarks,
  TokenLogprob,
} from '../../shared/generation.js';
import type { NodeId } from '../../shared/ids.js';
import { LIMITS } from '../../shared/limits.js';
import { readFault } from '../calls/fault.js';
import { type Fields, firstProblem } from './fields.js';

type Event<Kind extends GenerationEvent['kind']> = Extract<GenerationEvent, { kind: Kind }>;

const count = z.int().min(0);
const choice = z
  .int()
  .min(0)
  .max(LIMITS.choicesPerRequest - 1);
const measured = z.number().min(0);

const reasoning = z.strictObject({
  open: z.string(),
  close: z.string(),
  isOpen: z.boolean(),
} satisfies Fields<ReasoningMarks>);

const tokenFields = {
  token: z.string(),
  bytes: z.array(z.int().min(0).max(255)),
  // A token that cannot be drawn has minus infinity, which is no number to a plain schema.
  logprob: z.custom<number>((value) => typeof value === 'number' && !Number.isNaN(value)),
} satisfies Fields<TokenLogprob>;

const logprob = z.strictObject({
  ...tokenFields,
  top: z.array(z.strictObject(tokenFields)).max(LIMITS.topLogprobs + 1),
} satisfies Fields<GeneratedTokenLogprob>);

const stats = z.strictObject({
  promptTokens: count,
  cachedPromptTokens: count,
  generatedTokens: count,
  queueMs: measured,
  prefillMs: measured,
  timeToFirstTokenMs: measured,
  decodeMs: measured,
  peakMemoryBytes: measured,
  moves: count.optional(),
} satisfies Fields<GenerationStats>);

const event = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('delta'),
    choice,
    text: z.string(),
    tokens: z.array(count),
    logprobs: z.array(logprob).optional(),
  } satisfies Fields<Event<'delta'>>),
  z.strictObject({
    kind: z.literal('started'),
    promptTokens: count,
    cachedPromptTokens: count,
    reasoning: reasoning.optional(),
  } satisfies Fields<Event<'started'>>),
  z.strictObject({
    kind: z.literal('choice_finished'),
    choice,
    reason: z.enum(['stop', 'length']),
  } satisfies Fields<Event<'choice_finished'>>),
  z.strictObject({ kind: z.literal('finished'), stats } satisfies Fields<Event<'finished'>>),
]);

/** @returns the event that `from` sent, or the reason why it is none */
export function readEvent(received: unknown, from: NodeId): GenerationEvent | string {
  if ((received as { kind?: unknown } | null)?.kind === 'failed') {
    return { kind: 'failed', fault: readFault((received as { fault?: unknown }).fault, from) };
  }
  const result = event.safeParse(received);
  return result.success ? result.data : firstProblem(result.error);
}
