/** Replies to what was heard, gathered for a short while: however many ask, little is sent. */
import { TIMES } from '../../shared/limits.js';
import type { Announcement } from './announcement.js';

type Kind = Announcement['kind'];

/** Replies that wait at once; those who get none announce themselves again soon. */
const WAITING = 16;

export class Replies {
  readonly #send: (kind: Kind, to: string) => void;
  readonly #waiting = new Map<string, readonly [Kind, string]>();
  #timer: NodeJS.Timeout | null = null;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(send: (kind: Kind, to: string) => void) {
    this.#send = send;
  }

  add(kind: Kind, to: string): void {
    const key = `${kind} ${to}`;
    if (this.#waiting.size >= WAITING && !this.#waiting.has(key)) return;
    this.#waiting.set(key, [kind, to]);
    if (this.#timer !== null) return;
    // Nodes that hear the same newcomer should not all answer in the same millisecond.
    const pauseMs = this.#lastMs + TIMES.announceAnswerMs - performance.now();
    const delayMs = Math.max(pauseMs, 0) + Math.random() * (TIMES.announceAnswerMs / 2);
    this.#timer = setTimeout(() => this.#flush(), delayMs);
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#waiting.clear();
  }

  #flush(): void {
    this.#timer = null;
    this.#lastMs = performance.now();
    const replies = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const [kind, to] of replies) this.#send(kind, to);
  }
}
