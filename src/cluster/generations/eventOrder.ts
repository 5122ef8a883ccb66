/**
 * The grammar of an answer, `started (delta | choice_finished)* finished`, with every choice finished once and silent
 * afterwards, and `failed` anywhere. What another node sends out of order must not reach the code that gathers choices.
 */
import type { GenerationEvent, GenerationRequest } from '../../shared/generation.js';
import { LIMITS } from '../../shared/limits.js';

export class EventOrder {
  readonly #running: Set<number>;
  readonly #mostTokens: number;
  #tokens = 0;
  #isStarted = false;

  constructor({ choices, maxTokens }: Pick<GenerationRequest, 'choices' | 'maxTokens'>) {
    this.#running = new Set(Array.from({ length: choices }, (_, index) => index));
    this.#mostTokens = choices * (maxTokens ?? LIMITS.promptTokens);
  }

  /** @returns null when the event may come now, else the reason why not */
  next(event: GenerationEvent): string | null {
    if (event.kind === 'failed') return null;
    if (event.kind === 'started') {
      if (this.#isStarted) return 'the answer started twice';
      this.#isStarted = true;
      return null;
    }
    if (!this.#isStarted) return `${event.kind} came before the start of the answer`;
    if (event.kind === 'finished') {
      return this.#running.size === 0 ? null : 'the answer finished before its choices';
    }
    if (!this.#running.has(event.choice))
      return `${event.kind} of choice ${event.choice}, which is not running`;
    if (event.kind === 'choice_finished') this.#running.delete(event.choice);
    else this.#tokens += event.tokens.length;
    return this.#tokens > this.#mostTokens ? 'the answer has more tokens than were asked for' : null;
  }
}
