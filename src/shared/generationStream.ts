/**
 * A stream of generation events between one producer and one consumer. It ends exactly once: with `finished` or
 * `failed` from the producer, or because the consumer's side aborted it. Whatever the producer says after that is
 * dropped, so that a late answer never reaches a client that has been told of the end. It holds what the consumer
 * has not taken yet, bounded by the tokens that a request may have.
 */
import type { Fault } from './errors.js';
import type { GenerationEvent } from './generation.js';

export type TerminalEvent = Extract<GenerationEvent, { kind: 'finished' | 'failed' }>;

export class GenerationStream implements AsyncIterable<GenerationEvent> {
  /** Settles with the last event; never rejects. */
  readonly ended: Promise<TerminalEvent>;
  #events: GenerationEvent[] = [];
  #isEnded = false;
  #wake: (() => void) | null = null;
  #onAborted: () => void = () => undefined;
  #resolveEnded!: (event: TerminalEvent) => void;

  constructor() {
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Events that the consumer has yet to take. */
  get unread(): number {
    return this.#events.length;
  }

  /** Producer: what to do when the stream is aborted. A new producer replaces the handler of the last one. */
  onAborted(handler: () => void): void {
    this.#onAborted = handler;
  }

  /** Producer: the next event. */
  push(event: GenerationEvent): void {
    if (this.#isEnded) return;
    this.#events.push(event);
    if (event.kind === 'finished' || event.kind === 'failed') {
      this.#isEnded = true;
      this.#resolveEnded(event);
    }
    this.#wake?.();
  }

  /** Producer: the end by a fault. */
  fail(fault: Fault): void {
    this.push({ kind: 'failed', fault });
  }

  /** Consumer: ends the stream at once with this fault and tells the producer to stop. */
  abort(fault: Fault): void {
    if (this.#isEnded) return;
    this.fail(fault);
    this.#onAborted();
  }

  /** Leaving the loop before the end aborts the stream. */
  async *[Symbol.asyncIterator](): AsyncGenerator<GenerationEvent, void, undefined> {
    try {
      for (;;) {
        const events = this.#events;
        this.#events = [];
        for (const event of events) {
          yield event;
          if (event.kind === 'finished' || event.kind === 'failed') return;
        }
        if (this.#events.length === 0) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
          this.#wake = null;
        }
      }
    } finally {
      this.abort({ code: 'cancelled', message: 'the answer was no longer read' });
    }
  }
}
