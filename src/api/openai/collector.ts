/** Gathers the choices of an answer that is not streamed, within a bound. */

import type { ReasoningSplit } from '../../models/reasoning.js';
import { ShoalError } from '../../shared/errors.js';
import type { FinishReason, GeneratedTokenLogprob, GenerationStats } from '../../shared/generation.js';
import { LIMITS } from '../../shared/limits.js';
import type { AnswerEvent } from '../http/events.js';
import { ReasoningReader } from './reasoning.js';

export interface CollectedChoice {
  text: string;
  reasoning: string;
  /** The tokens' log probabilities, each run with the length of the text before it. */
  readonly logprobs: { readonly offset: number; readonly tokens: readonly GeneratedTokenLogprob[] }[];
  reason: FinishReason | null;
}

/** A generous size of one reported token in memory and in JSON, in bytes. */
const LOGPROB_BYTES = 128;

export class Collector {
  readonly choices: readonly CollectedChoice[];
  #stats: GenerationStats | null = null;
  #bytes = 0;
  readonly #reasoning = new ReasoningReader();

  constructor(choices: number) {
    this.choices = Array.from({ length: choices }, () => ({
      text: '',
      reasoning: '',
      logprobs: [],
      reason: null,
    }));
  }

  event(event: AnswerEvent): void {
    switch (event.kind) {
      case 'started':
        this.#reasoning.started(event);
        return;
      case 'delta': {
        const choice = this.#choice(event.choice);
        if (event.logprobs !== undefined) {
          choice.logprobs.push({ offset: choice.text.length, tokens: event.logprobs });
          for (const token of event.logprobs) this.#count((1 + token.top.length) * LOGPROB_BYTES);
        }
        this.#append(choice, this.#reasoning.delta(event));
        return;
      }
      case 'choice_finished': {
        const choice = this.#choice(event.choice);
        this.#append(choice, this.#reasoning.finish(event.choice));
        choice.reason = event.reason;
        return;
      }
      case 'finished':
        this.#stats = event.stats;
    }
  }

  /** Of all choices. */
  get reasoningTokens(): number {
    return this.#reasoning.reasoningTokens;
  }

  /** Only after `finished`. */
  get stats(): GenerationStats {
    if (this.#stats === null)
      throw new ShoalError('internal_error', 'an answer was asked for before its end');
    return this.#stats;
  }

  #choice(index: number): CollectedChoice {
    const choice = this.choices[index];
    if (choice === undefined)
      throw new ShoalError('internal_error', `an event for choice ${index}, which was not asked for`);
    return choice;
  }

  #append(choice: CollectedChoice, { reasoning, content }: ReasoningSplit): void {
    choice.reasoning += reasoning;
    choice.text += content;
    this.#count(reasoning.length + content.length);
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > LIMITS.answerBytes) {
      throw new ShoalError(
        'invalid_request',
        `The answer grew past ${LIMITS.answerBytes} bytes. Use \`stream: true\`, or ask for fewer tokens.`,
        { param: 'max_tokens' },
      );
    }
  }
}
