/**
 * The last hour in samples: a bounded ring that costs a few numbers every ten seconds, so that a page that is opened
 * now shows the past. Nothing of it is kept when the node ends.
 */
import type { HourCounts, HourGauges, HourSample } from '../shared/lastHour.js';
import { LIMITS, TIMES } from '../shared/limits.js';

export interface HourReading extends HourGauges {
  /** What each node has generated since it was started, by node id. */
  readonly tokensByNode: ReadonlyMap<string, number>;
}

export interface LastHourComponents {
  /** Looks at the cluster. */
  readonly read: () => HourReading;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

type Countable = Exclude<keyof HourCounts, 'generatedTokens'>;

const NOTHING: Readonly<Record<Countable, number>> = {
  completed: 0,
  failed: 0,
  cancelled: 0,
  runnerFailures: 0,
};

export class LastHour {
  readonly #components: LastHourComponents;
  readonly #samples: HourSample[] = [];
  #counts = { ...NOTHING };
  #tokens: HourReading['tokensByNode'] = new Map();
  #ticker: NodeJS.Timeout | undefined;

  constructor(components: LastHourComponents) {
    this.#components = components;
  }

  /** Takes a sample now, and one in every step from now on. */
  start(): void {
    this.sample();
    this.#ticker = setInterval(() => this.sample(), TIMES.hourStepMs);
  }

  close(): void {
    clearInterval(this.#ticker);
  }

  count(what: Countable, times = 1): void {
    this.#counts[what] += times;
  }

  /** Ends the step that goes on. */
  sample(): void {
    const reading = this.#components.read();
    this.#samples.push(this.#sampleOf(reading));
    if (this.#samples.length > LIMITS.hourSamples) this.#samples.shift();
    this.#counts = { ...NOTHING };
    this.#tokens = reading.tokensByNode;
  }

  /** Oldest first; the last one is of the step that goes on, and shorter than the others. */
  get samples(): HourSample[] {
    return [...this.#samples, this.#sampleOf(this.#components.read())];
  }

  #sampleOf({ tokensByNode, ...gauges }: HourReading): HourSample {
    return {
      atMs: this.#components.now(),
      ...gauges,
      ...this.#counts,
      generatedTokens: sumOf([...tokensByNode].map(([nodeId, tokens]) => this.#generated(nodeId, tokens))),
    };
  }

  /** A node that is heard of for the first time may have been at work for days: it counts from now on. */
  #generated(nodeId: string, tokens: number): number {
    const before = this.#tokens.get(nodeId) ?? tokens;
    // A count that is smaller has begun anew.
    return tokens >= before ? tokens - before : tokens;
  }
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}
