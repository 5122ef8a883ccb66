/** Sums over ranks that are threads of one process, in memory that all of them share: the simplest that blocks. */
import type { SliceSums } from '../../../src/engine/contract.js';
import { ShoalError } from '../../../src/shared/errors.js';

/** Ranks that have arrived; how often all had; 1 when a rank is lost. */
const WORD = { arrived: 0, round: 1, lost: 2 } as const;
const BYTES_OF_WORDS = 64;
const BYTES_OF_FLOAT = 4;
/** Looks before a rank sleeps: threads that have a core each need not be woken. */
const SPINS = 2000;
const LIMIT_MS = 60_000;

/** For all ranks of one world. @param floats most numbers of a sum */
export function sumsMemory(worldSize: number, floats: number): SharedArrayBuffer {
  return new SharedArrayBuffer(BYTES_OF_WORDS + worldSize * floats * BYTES_OF_FLOAT);
}

/** Says to all ranks that one of them will not come any more. */
export function loseRank(memory: SharedArrayBuffer): void {
  const words = new Int32Array(memory, 0, BYTES_OF_WORDS / BYTES_OF_FLOAT);
  Atomics.store(words, WORD.lost, 1);
  Atomics.notify(words, WORD.round);
}

export interface Perturbation {
  /** The sum, counted from 0, before which this rank's part is changed. */
  readonly atSum: number;
  readonly by: number;
}

export class SharedSums implements SliceSums {
  readonly #words: Int32Array;
  readonly #parts: Float32Array[];
  readonly #rank: number;
  /** Sums so far. */
  count = 0;
  /** How long they took, in all. */
  ms = 0;
  perturbation: Perturbation | null = null;

  constructor(memory: SharedArrayBuffer, rank: number, worldSize: number) {
    const floats = (memory.byteLength - BYTES_OF_WORDS) / BYTES_OF_FLOAT / worldSize;
    this.#words = new Int32Array(memory, 0, BYTES_OF_WORDS / BYTES_OF_FLOAT);
    this.#parts = Array.from(
      { length: worldSize },
      (_, at) => new Float32Array(memory, BYTES_OF_WORDS + at * floats * BYTES_OF_FLOAT, floats),
    );
    this.#rank = rank;
  }

  allocate(length: number): Float32Array {
    return new Float32Array(new SharedArrayBuffer(length * BYTES_OF_FLOAT));
  }

  sum(buffer: Float32Array): void {
    if (this.perturbation?.atSum === this.count) {
      buffer[0] = (buffer[0] as number) + this.perturbation.by;
    }
    this.count += 1;
    const started = performance.now();
    (this.#parts[this.#rank] as Float32Array).set(buffer);
    this.#meet();
    buffer.fill(0);
    for (const part of this.#parts) {
      for (let index = 0; index < buffer.length; index += 1) {
        buffer[index] = (buffer[index] as number) + (part[index] as number);
      }
    }
    this.#meet();
    this.ms += performance.now() - started;
  }

  /** Returns when all ranks are here. */
  #meet(): void {
    const words = this.#words;
    const round = Atomics.load(words, WORD.round);
    if (Atomics.add(words, WORD.arrived, 1) === this.#parts.length - 1) {
      Atomics.store(words, WORD.arrived, 0);
      Atomics.add(words, WORD.round, 1);
      Atomics.notify(words, WORD.round);
      return;
    }
    for (let spin = 0; spin < SPINS; spin += 1) if (Atomics.load(words, WORD.round) !== round) return;
    const endsAt = performance.now() + LIMIT_MS;
    while (Atomics.load(words, WORD.round) === round) {
      if (Atomics.load(words, WORD.lost) !== 0) throw new ShoalError('node_lost', 'a rank is lost');
      if (performance.now() > endsAt) throw new ShoalError('node_lost', 'the other ranks did not come');
      Atomics.wait(words, WORD.round, round, 50);
    }
  }
}
