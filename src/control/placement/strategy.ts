/** What the search for machines asks of a way to divide a model. Machines are named by their index. */
import type { ShardMemory } from './types.js';

export interface Solution {
  /** Machines in the order of their ranks. */
  readonly order: readonly number[];
  /** Layers [start, end) and memory of each rank. */
  readonly shards: readonly {
    readonly startLayer: number;
    readonly endLayer: number;
    readonly memory: ShardMemory;
  }[];
  readonly tokenMs: number;
  readonly firstTokenMs: number;
  /** The time that is least in the best solution. */
  readonly requestMs: number;
}

export interface Strategy {
  /**
   * A lower bound for any order of these machines, without their ways, in ms; from `IMPOSSIBLE_MS` on they cannot hold
   * the model, and the number is larger the more is lacking.
   * @param reservedLayers so much of each machine's memory, in layers, counts as lost in the cutting. @default 0
   */
  boundMs(machines: readonly number[], reservedLayers?: number): number;
  /** What the ways cost in this order, in ms; `IMPOSSIBLE_MS` for each that is needed and not there. */
  waysMs(order: readonly number[]): number;
  /** What the request would take on this machine alone if it had the memory, in ms, more or less. */
  paceMs(machine: number): number;
  /** What the way from one to the next costs. */
  pairMs(from: number, to: number): number;
  /** The best division over machines in this order; null when none fits and takes less than the cutoff, in ms. */
  solve(order: readonly number[], cutoffMs: number): Solution | null;
}

/** More than any request takes. */
export const IMPOSSIBLE_MS = 1e15;
