/** Answers of the older text endpoint: one body, or chunks of the same form. */
import { z } from 'zod';
import type { Fault } from '../../shared/errors.js';
import type { FinishReason } from '../../shared/generation.js';
import type { AnswerEvent } from '../http/events.js';
import type { AnswerFormat, StreamFormat } from '../http/generate.js';
import type { AnswerHead } from './answerHead.js';
import { type CollectedChoice, Collector } from './collector.js';
import { type TextLogprobs, textLogprobsSchema, toTextLogprobs } from './logprobs.js';
import { DONE, faultEvents } from './sse.js';
import { toUsage, usageSchema } from './usage.js';

export const completionSchema = z
  .object({
    id: z.string(),
    object: z.literal('text_completion'),
    created: z.int(),
    model: z.string(),
    system_fingerprint: z.string(),
    choices: z.array(
      z.object({
        index: z.int(),
        text: z.string(),
        logprobs: textLogprobsSchema.nullable(),
        finish_reason: z.enum(['stop', 'length']).nullable(),
      }),
    ),
    usage: usageSchema.nullish(),
  })
  .meta({ id: 'Completion' });

export function completionAnswer(head: AnswerHead, choices: number): AnswerFormat {
  const collector = new Collector(choices);
  return {
    event: (event) => collector.event(event),
    body: () => ({
      ...head,
      choices: collector.choices.map((choice, index) =>
        toChoice(index, choice.text, wholeLogprobs(choice), choice.reason),
      ),
      usage: toUsage(collector.stats),
    }),
  };
}

/** @param includeUsage send a last chunk with the usage, and `usage: null` in all others */
export class CompletionStream implements StreamFormat {
  readonly #prefix: string;
  readonly #suffix: string;
  readonly #includeUsage: boolean;
  /** Characters sent of each choice, for the offsets of log probabilities. */
  readonly #sentCharacters: number[];

  constructor(head: AnswerHead, choices: number, includeUsage: boolean) {
    this.#prefix = `data: ${JSON.stringify(head).slice(0, -1)},"choices":[`;
    this.#suffix = `]${includeUsage ? ',"usage":null' : ''}}\n\n`;
    this.#includeUsage = includeUsage;
    this.#sentCharacters = Array.from({ length: choices }, () => 0);
  }

  event(event: AnswerEvent): string {
    switch (event.kind) {
      case 'started':
        // A comment: the answer has begun, and a client that waits for its status gets it.
        return ': started\n\n';
      case 'delta': {
        if (event.text === '' && event.logprobs === undefined) return '';
        const offset = this.#sentCharacters[event.choice] ?? 0;
        this.#sentCharacters[event.choice] = offset + event.text.length;
        const logprobs = event.logprobs === undefined ? null : toTextLogprobs(event.logprobs, offset);
        return this.#chunk(toChoice(event.choice, event.text, logprobs, null));
      }
      case 'choice_finished':
        return this.#chunk(toChoice(event.choice, '', null, event.reason));
      case 'finished':
        return this.#includeUsage
          ? `${this.#prefix}],"usage":${JSON.stringify(toUsage(event.stats))}}\n\n${DONE}`
          : DONE;
    }
  }

  fault(fault: Fault): string {
    return faultEvents(fault);
  }

  #chunk(choice: unknown): string {
    return this.#prefix + JSON.stringify(choice) + this.#suffix;
  }
}

function toChoice(index: number, text: string, logprobs: TextLogprobs | null, reason: FinishReason | null) {
  return { index, text, logprobs, finish_reason: reason };
}

function wholeLogprobs(choice: CollectedChoice): TextLogprobs | null {
  if (choice.logprobs.length === 0) return null;
  const runs = choice.logprobs.map((run) => toTextLogprobs(run.tokens, run.offset));
  return {
    tokens: runs.flatMap((run) => run.tokens),
    token_logprobs: runs.flatMap((run) => run.token_logprobs),
    top_logprobs: runs.every((run) => run.top_logprobs === null)
      ? null
      : runs.flatMap((run) => run.top_logprobs ?? run.tokens.map(() => ({}))),
    text_offset: runs.flatMap((run) => run.text_offset),
  };
}
