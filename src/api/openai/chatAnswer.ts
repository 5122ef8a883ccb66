/** Chat answers: one body, or chunks. */
import { z } from 'zod';
import type { ReasoningSplit } from '../../models/reasoning.js';
import type { Fault } from '../../shared/errors.js';
import type { GeneratedTokenLogprob, GenerationStats } from '../../shared/generation.js';
import type { AnswerEvent } from '../http/events.js';
import type { AnswerFormat, StreamFormat } from '../http/generate.js';
import type { AnswerHead } from './answerHead.js';
import { Collector } from './collector.js';
import { chatLogprobsSchema, toChatLogprobs } from './logprobs.js';
import { ReasoningReader } from './reasoning.js';
import { DONE, faultEvents } from './sse.js';
import { toUsage, usageSchema } from './usage.js';

const finishReason = z.enum(['stop', 'length']);

export const chatCompletionSchema = z
  .object({
    id: z.string().describe('Also the header `x-command-id`; what `/v1/cancel/{command_id}` takes.'),
    object: z.literal('chat.completion'),
    created: z.int().describe('Seconds since the epoch.'),
    model: z.string(),
    system_fingerprint: z.string(),
    choices: z.array(
      z.object({
        index: z.int(),
        message: z.object({
          role: z.literal('assistant'),
          content: z.string(),
          reasoning_content: z.string().optional().describe('What a thinking model thought first.'),
          refusal: z.null(),
        }),
        logprobs: chatLogprobsSchema.nullable(),
        finish_reason: finishReason,
      }),
    ),
    usage: usageSchema,
  })
  .meta({ id: 'ChatCompletion' });

export const chatChunkSchema = z
  .object({
    id: z.string(),
    object: z.literal('chat.completion.chunk'),
    created: z.int(),
    model: z.string(),
    system_fingerprint: z.string(),
    choices: z.array(
      z.object({
        index: z.int(),
        delta: z.object({
          role: z.literal('assistant').optional(),
          content: z.string().optional(),
          reasoning_content: z.string().optional(),
          refusal: z.null().optional(),
        }),
        logprobs: chatLogprobsSchema.nullable(),
        finish_reason: finishReason.nullable(),
      }),
    ),
    usage: usageSchema.nullish(),
  })
  .meta({ id: 'ChatCompletionChunk' });

/** Fields that a protocol variant adds to the end of an answer, such as statistics. */
export type Extra = (stats: GenerationStats, choices: number) => Readonly<Record<string, unknown>>;

/** @param extra fields to add to the body */
export function chatAnswer(head: AnswerHead, choices: number, extra: Extra = () => ({})): AnswerFormat {
  const collector = new Collector(choices);
  return {
    event: (event) => collector.event(event),
    body: () => ({
      ...head,
      choices: collector.choices.map((choice, index) => ({
        index,
        message: {
          role: 'assistant',
          content: choice.text,
          ...(choice.reasoning === '' ? {} : { reasoning_content: choice.reasoning }),
          refusal: null,
        },
        logprobs:
          choice.logprobs.length === 0 ? null : toChatLogprobs(choice.logprobs.flatMap((run) => run.tokens)),
        finish_reason: choice.reason,
      })),
      usage: toUsage(collector.stats, collector.reasoningTokens),
      ...extra(collector.stats, choices),
    }),
  };
}

/**
 * Chunks of a chat. The envelope is made once: a token costs one `JSON.stringify` of its text.
 * @param includeUsage send a last chunk with the usage, and `usage: null` in all others
 * @param extra fields to add to a last chunk, which is sent even without `includeUsage`
 */
export class ChatStream implements StreamFormat {
  readonly #prefix: string;
  readonly #suffix: string;
  readonly #choices: number;
  readonly #includeUsage: boolean;
  readonly #extra: Extra | undefined;
  readonly #reasoning = new ReasoningReader();

  constructor(head: AnswerHead, choices: number, includeUsage: boolean, extra?: Extra) {
    this.#prefix = `data: ${JSON.stringify(head).slice(0, -1)},"choices":[`;
    this.#suffix = `]${includeUsage ? ',"usage":null' : ''}}\n\n`;
    this.#choices = choices;
    this.#includeUsage = includeUsage;
    this.#extra = extra;
  }

  event(event: AnswerEvent): string {
    switch (event.kind) {
      case 'started':
        this.#reasoning.started(event);
        return Array.from({ length: this.#choices }, (_, index) =>
          this.#chunk(index, '{"role":"assistant","content":"","refusal":null}', 'null', 'null'),
        ).join('');
      case 'delta':
        return this.#text(event.choice, this.#reasoning.delta(event), event.logprobs);
      case 'choice_finished':
        return (
          this.#text(event.choice, this.#reasoning.finish(event.choice)) +
          this.#chunk(event.choice, '{}', 'null', `"${event.reason}"`)
        );
      case 'finished':
        return this.#end(event.stats);
    }
  }

  fault(fault: Fault): string {
    return faultEvents(fault);
  }

  #chunk(index: number, delta: string, logprobs: string, finish: string): string {
    return `${this.#prefix}{"index":${index},"delta":${delta},"logprobs":${logprobs},"finish_reason":${finish}}${this.#suffix}`;
  }

  #text(
    choice: number,
    { reasoning, content }: ReasoningSplit,
    logprobs?: readonly GeneratedTokenLogprob[],
  ): string {
    if (reasoning === '' && content === '' && logprobs === undefined) return '';
    const delta =
      reasoning === ''
        ? `{"content":${JSON.stringify(content)}}`
        : JSON.stringify({ reasoning_content: reasoning, ...(content === '' ? {} : { content }) });
    const reported = logprobs === undefined ? 'null' : JSON.stringify(toChatLogprobs(logprobs));
    return this.#chunk(choice, delta, reported, 'null');
  }

  #end(stats: GenerationStats): string {
    if (!this.#includeUsage && this.#extra === undefined) return DONE;
    const last = {
      ...(this.#includeUsage ? { usage: toUsage(stats, this.#reasoning.reasoningTokens) } : {}),
      ...this.#extra?.(stats, this.#choices),
    };
    return `${this.#prefix}],${JSON.stringify(last).slice(1)}\n\n${DONE}`;
  }
}
