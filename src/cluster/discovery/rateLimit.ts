/** How much work strangers may cause: so much a second in all, and from one source; what is past it is dropped. */
const WINDOW_MS = 1_000;

export interface RateLimitOptions {
  readonly perSecond: number;
  readonly perSourcePerSecond: number;
}

export class RateLimit {
  readonly #options: RateLimitOptions;
  #windowStartMs = Number.NEGATIVE_INFINITY;
  #taken = 0;
  /** Never larger than `perSecond`, since it is emptied with each window. */
  readonly #bySource = new Map<string, number>();

  constructor(options: RateLimitOptions) {
    this.#options = options;
  }

  take(source: string, nowMs: number): boolean {
    if (nowMs - this.#windowStartMs >= WINDOW_MS) {
      this.#windowStartMs = nowMs;
      this.#taken = 0;
      this.#bySource.clear();
    }
    if (this.#taken >= this.#options.perSecond) return false;
    const taken = this.#bySource.get(source) ?? 0;
    if (taken >= this.#options.perSourcePerSecond) return false;
    this.#bySource.set(source, taken + 1);
    this.#taken += 1;
    return true;
  }
}
