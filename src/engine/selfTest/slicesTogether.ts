/**
 * Slices that compute one after the other in one thread, to the same end as side by side. Where a rank comes to a sum
 * whose result is not known yet it leaves its part and gives the step up; once all ranks have, that sum is known and the
 * step begins anew. A step with S sums is so begun S + 1 times on every rank: for tiny models.
 */
import type { Engine, SliceSums, StepInput, StepResult } from '../contract.js';

/** What ends a step at a sum that is not known yet. */
const NOT_KNOWN_YET = new Error('this sum is not known yet');

/** Changes the part of one rank in a sum, counted from 0. */
export type ChangePart = (part: Float32Array, rank: number, sum: number) => void;

export class SlicesTogether {
  readonly #engines: readonly Engine[];
  /** Of the step that is computed: sums that are known, in order. */
  #known: Float32Array[] = [];
  /** Of the next sum: parts by rank. */
  #parts: Float32Array[] = [];
  /** Sums that the rank which computes has come to. */
  #reached = 0;

  /** @param open the engine of a rank, with these sums. Those that were opened are closed when one cannot be. */
  constructor(worldSize: number, open: (rank: number, sums: SliceSums) => Engine) {
    const engines: Engine[] = [];
    this.#engines = engines;
    try {
      for (let rank = 0; rank < worldSize; rank += 1) engines.push(open(rank, this.#sumsOf(rank)));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** By rank. */
  get engines(): readonly Engine[] {
    return this.#engines;
  }

  /** What rank 0 gives. */
  step(input: StepInput, change: ChangePart = () => undefined): StepResult {
    this.#known = [];
    for (;;) {
      this.#parts = [];
      const results = this.#engines.map((engine) => this.#attempt(engine, input));
      const [first] = results;
      if (first !== null && first !== undefined) return first;
      const [sum, ...others] = this.#parts as [Float32Array, ...Float32Array[]];
      for (const [rank, part] of this.#parts.entries()) change(part, rank, this.#known.length);
      for (const part of others) {
        for (let index = 0; index < sum.length; index += 1) {
          sum[index] = (sum[index] as number) + (part[index] as number);
        }
      }
      this.#known.push(sum);
    }
  }

  close(): void {
    for (const engine of this.#engines) engine.close();
  }

  /** @returns null when the step came to a sum that is not known */
  #attempt(engine: Engine, input: StepInput): StepResult | null {
    this.#reached = 0;
    try {
      return engine.step(input);
    } catch (error) {
      if (error === NOT_KNOWN_YET) return null;
      throw error;
    }
  }

  #sumsOf(rank: number): SliceSums {
    return {
      allocate: (length) => new Float32Array(new SharedArrayBuffer(length * Float32Array.BYTES_PER_ELEMENT)),
      sum: (buffer) => {
        const known = this.#known[this.#reached];
        this.#reached += 1;
        if (known !== undefined) {
          buffer.set(known);
          return;
        }
        this.#parts[rank] = Float32Array.from(buffer);
        throw NOT_KNOWN_YET;
      },
    };
  }
}
