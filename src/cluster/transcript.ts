/**
 * What the client has of an answer, whichever runners gave it. It passes on what is new, and says where the next runner
 * goes on; that one says nothing again of what stands here.
 */
import type { Fault } from '../shared/errors.js';
import type { FinishReason, GenerationEvent, GenerationStats, ResumedChoice } from '../shared/generation.js';

type Event<Kind extends GenerationEvent['kind']> = Extract<GenerationEvent, { kind: Kind }>;

interface Choice {
  readonly tokens: number[];
  reason: FinishReason | null;
  /** The rest of its text, which counts together with its end. */
  rest: Event<'delta'> | null;
}

export class Transcript {
  readonly #choices: readonly Choice[];
  readonly #arrivedAtMs: number;
  #promptTokens: number | null = null;
  #firstTokenAtMs: number | null = null;
  #runners = 0;
  #isBegun = false;

  /** @param arrivedAtMs when the request came, on the clock that `take` is given the time of */
  constructor(choices: number, arrivedAtMs: number) {
    this.#choices = Array.from({ length: choices }, () => ({ tokens: [], reason: null, rest: null }));
    this.#arrivedAtMs = arrivedAtMs;
  }

  /** Has the runner that has it now begun to compute it? */
  get isBegun(): boolean {
    return this.#isBegun;
  }

  /** Another runner takes it. @returns where it goes on; null at the beginning */
  begin(): readonly ResumedChoice[] | null {
    this.#runners += 1;
    this.#isBegun = false;
    for (const choice of this.#choices) choice.rest = null;
    if (this.#choices.every(({ tokens, reason }) => tokens.length === 0 && reason === null)) return null;
    return this.#choices.map(({ tokens, reason }) => ({ tokens: [...tokens], reason }));
  }

  /**
   * The next event of the runner that has it, other than `failed`.
   * @returns what the client is to be told, or why this runner cannot go on with the answer
   */
  take(
    event: Exclude<GenerationEvent, { kind: 'failed' }>,
    nowMs: number,
  ): readonly GenerationEvent[] | Fault {
    switch (event.kind) {
      case 'started':
        return this.#started(event);
      case 'delta':
        return this.#delta(event, nowMs);
      case 'choice_finished': {
        const choice = this.#choices[event.choice];
        if (choice === undefined) return [event];
        choice.reason = event.reason;
        return choice.rest === null ? [event] : [choice.rest, event];
      }
      case 'finished':
        return [{ ...event, stats: this.#stats(event.stats, nowMs) }];
    }
  }

  #started(event: Event<'started'>): readonly GenerationEvent[] | Fault {
    this.#isBegun = true;
    if (this.#promptTokens === null) {
      this.#promptTokens = event.promptTokens;
      return [event];
    }
    if (this.#promptTokens === event.promptTokens) return [];
    const message =
      `the answer cannot go on: the prompt had ${this.#promptTokens} tokens where it began and has ` +
      `${event.promptTokens} here, so the model files differ`;
    return { code: 'model_load_failed', message };
  }

  #delta(event: Event<'delta'>, nowMs: number): readonly GenerationEvent[] {
    const choice = this.#choices[event.choice];
    if (choice === undefined) return [event];
    if (event.tokens.length === 0) {
      choice.rest = event;
      return [];
    }
    this.#firstTokenAtMs ??= nowMs;
    // Not spread: there may be more of them than a call takes.
    for (const token of event.tokens) choice.tokens.push(token);
    return [event];
  }

  /** Tokens are counted by the last runner, which had them all; the times are those that the client saw. */
  #stats(stats: GenerationStats, nowMs: number): GenerationStats {
    const moves = this.#runners - 1;
    if (moves === 0) return stats;
    const firstTokenAtMs = this.#firstTokenAtMs ?? nowMs;
    return {
      ...stats,
      timeToFirstTokenMs: firstTokenAtMs - this.#arrivedAtMs,
      decodeMs: nowMs - firstTokenAtMs,
      moves,
    };
  }
}
