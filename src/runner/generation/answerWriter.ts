import type { Tokenizer } from '../../models/tokenizer.js';
import type { Fault } from '../../shared/errors.js';
import type {
  FinishReason,
  GeneratedTokenLogprob,
  GenerationEvent,
  GenerationStats,
  ReasoningMarks,
  ResumedChoice,
  TokenLogprob,
} from '../../shared/generation.js';
import type { SampledChance, TokenChance } from '../sampler/logprobs.js';
import type { Answer } from '../scheduler/task.js';
import { type ChoicePiece, ChoiceText } from './choiceText.js';

export interface AnswerForm {
  readonly choices: number;
  readonly stops: readonly string[];
  readonly reasoning: ReasoningMarks | null;
  /** What of each choice has been told by another runner, and is not told again. Null for a new answer. */
  readonly resume: readonly ResumedChoice[] | null;
}

/**
 * Turns what the scheduler says about one request into generation events. Of an answer that goes on here, all tokens
 * pass through the text of their choice, since a stop string or a character may have begun before; those that have been
 * told make no events.
 */
export class AnswerWriter implements Answer {
  readonly #tokenizer: Tokenizer;
  readonly #emit: (event: GenerationEvent) => void;
  readonly #reasoning: ReasoningMarks | null;
  readonly #texts: readonly ChoiceText[];
  readonly #resume: readonly ResumedChoice[] | null;
  /** Tokens of each choice so far. */
  readonly #counts: number[];

  constructor(tokenizer: Tokenizer, emit: (event: GenerationEvent) => void, form: AnswerForm) {
    this.#tokenizer = tokenizer;
    this.#emit = emit;
    this.#reasoning = form.reasoning;
    this.#texts = Array.from({ length: form.choices }, () => new ChoiceText(form.stops));
    this.#resume = form.resume;
    this.#counts = this.#texts.map(() => 0);
  }

  started(promptTokens: number, cachedPromptTokens: number): void {
    const reasoning = this.#reasoning;
    this.#emit({
      kind: 'started',
      promptTokens,
      cachedPromptTokens,
      ...(reasoning === null ? {} : { reasoning }),
    });
  }

  token(choice: number, token: number, chance: SampledChance | null): boolean {
    const text = this.#texts[choice]!;
    const piece = text.push(
      this.#tokenizer.bytes(token),
      chance === null ? null : this.#generatedLogprob(chance),
    );
    this.#counts[choice]! += 1;
    const isTold = this.#counts[choice]! <= (this.#resume?.[choice]?.tokens.length ?? 0);
    if (!isTold) this.#emitDelta(choice, piece, [token]);
    return text.isStopped;
  }

  choiceFinished(choice: number, reason: FinishReason): void {
    if (this.#resume?.[choice]?.reason != null) return;
    const rest = this.#texts[choice]!.flush();
    if (rest.text !== '' || rest.logprobs.length > 0) this.#emitDelta(choice, rest, []);
    this.#emit({ kind: 'choice_finished', choice, reason });
  }

  finished(stats: GenerationStats): void {
    this.#emit({ kind: 'finished', stats });
  }

  failed(fault: Fault): void {
    this.#emit({ kind: 'failed', fault });
  }

  #emitDelta(choice: number, { text, logprobs }: ChoicePiece, tokens: readonly number[]): void {
    this.#emit({ kind: 'delta', choice, text, tokens, ...(logprobs.length === 0 ? {} : { logprobs }) });
  }

  #generatedLogprob(chance: SampledChance): GeneratedTokenLogprob {
    return { ...this.#logprob(chance), top: chance.top.map((other) => this.#logprob(other)) };
  }

  #logprob({ token, logprob }: TokenChance): TokenLogprob {
    return { token: this.#tokenizer.display(token), bytes: [...this.#tokenizer.bytes(token)], logprob };
  }
}
