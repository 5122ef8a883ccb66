/** Gathers the choices of an answer that is not streamed, within a bound. */
import { ShoalError } from '../../shared/errors.js';
import type { FinishReason, GeneratedTokenLogprob, GenerationStats } from '../../shared/generation.js';
import { LIMITS } from '../../shared/limits.js';
import type { AnswerEvent } from '../http/events.js';

export interface CollectedChoice {
  text: string;
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

  constructor(choices: number) {
    this.choices = Array.from({ length: choices }, () => ({ text: '', logprobs: [], reason: null }));
  }

  event(event: AnswerEvent): void {
    if (event.kind === 'delta') {
      const choice = this.#choice(event.choice);
      if (event.logprobs !== undefined) {
        choice.logprobs.push({ offset: choice.text.length, tokens: event.logprobs });
        for (const token of event.logprobs) this.#count((1 + token.top.length) * LOGPROB_BYTES);
      }
      choice.text += event.text;
      this.#count(event.text.length);
    } else if (event.kind === 'choice_finished') {
      this.#choice(event.choice).reason = event.reason;
    } else if (event.kind === 'finished') {
      this.#stats = event.stats;
    }
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
