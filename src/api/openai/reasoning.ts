/** Tells reasoning from answer in the text of each choice, as the runner says where it stands. */
import { type ReasoningSplit, ReasoningSplitter } from '../../models/reasoning.js';
import type { GenerationEvent } from '../../shared/generation.js';

type Started = Extract<GenerationEvent, { kind: 'started' }>;
type Delta = Extract<GenerationEvent, { kind: 'delta' }>;

export class ReasoningReader {
  readonly #splitters = new Map<number, ReasoningSplitter>();
  readonly #answering = new Set<number>();
  #marks: Started['reasoning'];
  #reasoningTokens = 0;

  /** Tokens of all choices that came before the answers began; 0 for a model that does not think. */
  get reasoningTokens(): number {
    return this.#reasoningTokens;
  }

  started(event: Started): void {
    this.#marks = event.reasoning;
  }

  delta(event: Delta): ReasoningSplit {
    if (this.#marks === undefined) return { reasoning: '', content: event.text };
    const split = this.#splitter(event.choice, this.#marks).push(event.text);
    if (split.content !== '') this.#answering.add(event.choice);
    if (!this.#answering.has(event.choice)) this.#reasoningTokens += event.tokens.length;
    return split;
  }

  /** What was held back of a choice that has ended. */
  finish(choice: number): ReasoningSplit {
    return this.#splitters.get(choice)?.flush() ?? { reasoning: '', content: '' };
  }

  #splitter(choice: number, marks: NonNullable<Started['reasoning']>): ReasoningSplitter {
    let splitter = this.#splitters.get(choice);
    if (splitter === undefined) {
      splitter = new ReasoningSplitter(marks, marks.isOpen);
      this.#splitters.set(choice, splitter);
    }
    return splitter;
  }
}
