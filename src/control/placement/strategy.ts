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
  /** Of `tokenMs`, what one step keeps the busiest rank or link for. */
  readonly longestStageMs: number;
  readonly firstTokenMs: number;
  /** The time that is least in the best solution. */
  readonly requestMs: number;
}

export interface Strategy {
  /**
   * A lower bound for any order of these machines, without their ways, in ms; from `IMPOSSIBLE_MS` on they cannot hold
   * the model, and the number is larger the more is lacking. More memory never makes possible ones impossible.
   */
  boundMs(machines: readonly number[]): number;
  /** The same for machines that can hold it, dearer and closer; the cutoff where it is at least that. */
  closeBoundMs(machines: readonly number[], cutoffMs: number): number;
  /**
   * What this order adds to the bound: its ways, in ms, and what it costs that the last one computes the head.
   * `IMPOSSIBLE_MS` for each way that is needed and not there.
   */
  orderMs(order: readonly number[]): number;
  /** What the request would take on this machine alone if it had the memory, in ms, more or less. */
  paceMs(machine: number): number;
  /** What the way from one to the next costs. */
  pairMs(from: number, to: number): number;
  /** The best division over machines in this order; null when none fits and takes less than the cutoff, in ms. */
  solve(order: readonly number[], cutoffMs: number): Solution | null;
  /** The same machines in the same order, divided for many streams as far as one stream hardly notices. */
  balance(solution: Solution): Solution;
}

/** More than any request takes. */
export const IMPOSSIBLE_MS = 1e15;
