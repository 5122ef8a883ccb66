/**
 * How long this process waits for cores that others have. A step that does not end looks the same from without whether
 * its threads hang or get no core; the scheduler of the system knows which.
 */
import { readdirSync, readFileSync } from 'node:fs';

const NANOSECONDS_PER_MILLISECOND = 1e6;

export class Starvation {
  readonly #folder: string;
  #mostMs = 0;

  /** @param folder what the system says of each thread of this process, where it is Linux */
  constructor(folder = '/proc/self/task') {
    this.#folder = folder;
  }

  /**
   * Milliseconds that threads were ready to run and got no core, since the start, summed over them. It never goes
   * back, although the share of a thread that ends is lost. 0 where the system does not say.
   */
  readMs(): number {
    let sumNs = 0;
    for (const thread of this.#threads()) sumNs += waitedNs(`${this.#folder}/${thread}/schedstat`);
    this.#mostMs = Math.max(this.#mostMs, sumNs / NANOSECONDS_PER_MILLISECOND);
    return this.#mostMs;
  }

  #threads(): readonly string[] {
    try {
      return readdirSync(this.#folder);
    } catch {
      // Not Linux.
      return [];
    }
  }
}

/** The second number is the time on the run queue; a thread that has just ended has none. */
function waitedNs(path: string): number {
  try {
    return Number(readFileSync(path, 'latin1').split(' ')[1] ?? 0) || 0;
  } catch {
    return 0;
  }
}
