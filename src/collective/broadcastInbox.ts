/** Control frames of all other ranks that this rank has not taken yet: a bounded queue. */
import type { ControlFrame } from './contract.js';

/** Past this many, those who bring more wait. What is on the way is bounded by the window of each link. */
const FRAMES = 64;

interface Taker {
  readonly resolve: (frame: ControlFrame) => void;
  readonly reject: (reason: Error) => void;
}

export class BroadcastInbox {
  readonly #frames: ControlFrame[] = [];
  readonly #takers: Taker[] = [];
  readonly #bringers: (() => void)[] = [];
  #failure: Error | null = null;

  /** Resolves when there is room for the next one. */
  async put(frame: ControlFrame): Promise<void> {
    const taker = this.#takers.shift();
    if (taker !== undefined) {
      taker.resolve(frame);
      return;
    }
    this.#frames.push(frame);
    if (this.#frames.length < FRAMES || this.#failure !== null) return;
    await new Promise<void>((resolve) => this.#bringers.push(resolve));
  }

  async next(): Promise<ControlFrame> {
    if (this.#failure !== null) throw this.#failure;
    const frame = this.#frames.shift();
    this.#bringers.shift()?.();
    if (frame !== undefined) return frame;
    return await new Promise((resolve, reject) => this.#takers.push({ resolve, reject }));
  }

  fail(reason: Error): void {
    this.#failure = reason;
    for (const taker of this.#takers.splice(0)) taker.reject(reason);
    for (const resume of this.#bringers.splice(0)) resume();
  }
}
