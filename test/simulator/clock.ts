/** The two clocks of a machine: a monotonic one that runs a little fast or slow, and a wall clock that people set. */
import type { Instant } from '../../src/control/cluster/ports.js';
import type { VirtualTime } from './virtualTime.js';

/** Somewhere in 2027. */
const EPOCH_MS = 1_800_000_000_000;

export class Clock {
  readonly #time: VirtualTime;
  #rate: number;
  #setAt: number;
  #monotonicMs: number;
  #wallOffsetMs = 0;

  constructor(time: VirtualTime, startMs: number, rate: number) {
    this.#time = time;
    this.#rate = rate;
    this.#setAt = time.now;
    this.#monotonicMs = startMs;
  }

  get instant(): Instant {
    const monotonicMs = this.#monotonicMs + (this.#time.now - this.#setAt) * this.#rate;
    return { monotonicMs, wallMs: Math.round(EPOCH_MS + this.#time.now + this.#wallOffsetMs) };
  }

  /** From now on the monotonic clock runs this much faster than the time; 0 while the machine sleeps. */
  run(rate: number): void {
    this.#monotonicMs = this.instant.monotonicMs;
    this.#setAt = this.#time.now;
    this.#rate = rate;
  }

  /** How long it takes until this many milliseconds have passed on the monotonic clock. */
  realMs(clockMs: number): number {
    return this.#rate === 0 ? clockMs : clockMs / this.#rate;
  }

  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms;
  }
}
