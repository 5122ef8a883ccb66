/**
 * The best division of a model's layers over stages in a given order. What is least is the time of one request,
 *
 *   Σ over stages (answer tokens × decode + chunk) + (chunks − 1) × the slowest stage's chunk,
 *
 * under each stage's memory, with a layer at least for each. With a limit to the slowest chunk it is a shortest path
 * (`shortestPath.ts`), and the limits are searched (`limitSearch.ts`).
 */
import { searchLimits } from './limitSearch.js';
import { type Limits, NO_LIMITS, type PathProblem, type Stage, shortestPath } from './shortestPath.js';

export interface SplitProblem extends PathProblem {
  /** Chunks of the prompt beyond the first. */
  readonly furtherChunks: number;
  /** The slowest step of the pipeline is at least this, in ms: a link's, or what the stages cannot stay below. */
  readonly leastSlowestMs: number;
  /** A division that takes this long, in ms, is as good as none. */
  readonly cutoffMs: number;
}

/** Numbers of the boundaries, from 0 to `end`, one more than stages. */
export type Division = readonly number[];

/** @returns null when nothing fits in time */
export function splitLayers(problem: SplitProblem, limits: Limits = NO_LIMITS): Division | null {
  const { stages, furtherChunks, leastSlowestMs, cutoffMs } = problem;
  const search = { times: furtherChunks, leastSlowestMs, cutoffMs, mostSlowestMs: limits.chunkMs };
  const best = searchLimits(search, (chunkMs) => {
    const path = shortestPath(problem, { ...limits, chunkMs });
    if (path === null) return null;
    const { division, ms } = path;
    return { division, sumMs: ms, slowestMs: longestOf(stages, division, 'chunk') };
  });
  return best?.tried.division ?? null;
}

type Cost = 'request' | 'token' | 'chunk';

/** The sum over the stages of a division, in ms. */
export function sumOf(stages: readonly Stage[], division: Division, what: Cost): number {
  return stages.reduce((sum, _, rank) => sum + stageMs(stages, division, rank, what), 0);
}

export function longestOf(stages: readonly Stage[], division: Division, what: Cost): number {
  return Math.max(...stages.map((_, rank) => stageMs(stages, division, rank, what)));
}

function stageMs(stages: readonly Stage[], division: Division, rank: number, what: Cost): number {
  const { beforeMs, besideMs, headMs } = stages[rank]![what];
  const ms = beforeMs[division[rank + 1]!]! - beforeMs[division[rank]!]! + besideMs;
  return rank === stages.length - 1 ? ms + headMs : ms;
}
