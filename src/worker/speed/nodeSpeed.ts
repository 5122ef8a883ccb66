/**
 * How fast this machine computes, measured once and kept in the node's home. It is measured in the background, when the
 * node has nothing else to do: nobody waits for it, and until then placement takes a slow machine for granted. What
 * others do on the machine makes a measurement too low, never too high: it is repeated, and the best one counts.
 */
import { join } from 'node:path';
import { readPrivateFile, writePrivateFile } from '../../cluster/privateFiles.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { fasterOf, type MeasuredSpeed, type NodeSpeed, readMeasuredSpeed } from '../../shared/nodeSpeed.js';
import type { BenchmarkResult } from './runBenchmark.js';

export interface NodeSpeedComponents {
  readonly benchmark: (signal: AbortSignal) => Promise<BenchmarkResult>;
  /** Has the node nothing to compute, and nothing to load? */
  readonly isIdle: () => boolean;
  readonly onProblem: (problem: string) => void;
  /** Milliseconds since the epoch. @default Date.now */
  readonly now?: () => number;
}

export interface NodeSpeedOptions {
  readonly home: string;
  /** What the speed hangs on: another machine or engine is measured anew. */
  readonly machine: string;
  /** @default TIMES.speedLookMs */
  readonly lookMs?: number;
}

interface Kept {
  readonly speed: MeasuredSpeed;
  /** Milliseconds since the epoch. */
  readonly measuredAt: number;
}

/** From this share of its cores on, a measurement counts as undisturbed. */
const UNDISTURBED_SHARE = 0.9;
const FILE_NAME = 'speed.json';

export class NodeSpeedMeter {
  readonly #components: NodeSpeedComponents;
  readonly #options: NodeSpeedOptions;
  readonly #now: () => number;
  readonly #ended = new AbortController();
  #kept: Kept | null;
  #attempts = 0;
  #dueAt: number;
  #running: Promise<void> | null = null;
  #ticker: NodeJS.Timeout | undefined;

  constructor(components: NodeSpeedComponents, options: NodeSpeedOptions) {
    this.#components = components;
    this.#options = options;
    this.#now = components.now ?? Date.now;
    this.#kept = this.#read();
    this.#dueAt = this.#isGood() ? this.#staleAt() : 0;
  }

  /** Null until it was measured. */
  get speed(): NodeSpeed | null {
    if (this.#kept === null) return null;
    const { memoryBytesPerSecond, operationsPerSecond } = this.#kept.speed;
    return { memoryBytesPerSecond, operationsPerSecond };
  }

  start(): void {
    this.#ticker = setInterval(() => this.#look(), this.#options.lookMs ?? TIMES.speedLookMs);
    this.#ticker.unref();
  }

  /** Resolves when the benchmark, if one runs, has ended. */
  async close(): Promise<void> {
    clearInterval(this.#ticker);
    this.#ended.abort();
    await this.#running;
  }

  #look(): void {
    if (this.#running !== null || this.#now() < this.#dueAt || !this.#components.isIdle()) return;
    this.#running = this.#measure().finally(() => {
      this.#running = null;
    });
  }

  async #measure(): Promise<void> {
    const result = await this.#components.benchmark(this.#ended.signal);
    if (this.#ended.signal.aborted) return;
    this.#attempts += 1;
    if ('speed' in result) this.#keep(result.speed);
    else this.#components.onProblem(`the speed of this machine could not be measured: ${result.problem}`);
    const isDone = this.#isGood() || this.#attempts >= LIMITS.speedAttempts;
    if (isDone) this.#attempts = 0;
    this.#dueAt = isDone ? this.#staleAt() : this.#now() + TIMES.speedRetryMs;
  }

  #keep(measured: MeasuredSpeed): void {
    // One from before, however old, says what the machine can do at least, unless now it had all its cores.
    const isUndisturbed = measured.processorShare >= UNDISTURBED_SHARE;
    const known = isUndisturbed ? null : this.#kept;
    const speed = known === null ? measured : { ...measured, ...fasterOf(measured, known.speed) };
    this.#kept = { speed, measuredAt: this.#now() };
    const { home, machine } = this.#options;
    try {
      writePrivateFile(home, join(home, FILE_NAME), { machine, ...this.#kept });
    } catch (error) {
      this.#components.onProblem(`the speed of this machine cannot be kept: ${(error as Error).message}`);
    }
  }

  #isGood(): boolean {
    if (this.#kept === null) return false;
    const { speed, measuredAt } = this.#kept;
    // A clock that was set back would keep it for ever.
    const isFresh = measuredAt <= this.#now() && this.#now() < this.#staleAt();
    return isFresh && speed.processorShare >= UNDISTURBED_SHARE;
  }

  #staleAt(): number {
    return (this.#kept?.measuredAt ?? this.#now()) + TIMES.speedAgeMs;
  }

  /** What was kept of this machine; a file that is damaged, or of another machine or engine, counts for nothing. */
  #read(): Kept | null {
    const { home, machine } = this.#options;
    try {
      const file = readPrivateFile(home, join(home, FILE_NAME));
      if (file === null || file === 'damaged' || file.machine !== machine) return null;
      const speed = readMeasuredSpeed(file.speed);
      return speed === null || typeof file.measuredAt !== 'number'
        ? null
        : { speed, measuredAt: file.measuredAt };
    } catch (error) {
      this.#components.onProblem(`the speed of this machine cannot be read: ${(error as Error).message}`);
      return null;
    }
  }
}
