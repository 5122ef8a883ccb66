/**
 * Many streams at once: while one step is on a stage, those of other streams are on the others, so that the stage that a
 * token takes longest on sets the pace of all. A single stream waits for the sum of the stages, which hardly depends on the
 * cuts between like machines; of the divisions that are as good for it, this is the one with the least longest stage.
 */
import { type Division, longestOf, type SplitProblem, splitLayers, sumOf } from './layerSplit.js';
import { type Limits, shortestPath } from './shortestPath.js';

/** What a request may lose, in ms. */
export interface Slack {
  /** On its way through the stages. */
  readonly sumMs: number;
  /** While the chunks of its prompt wait for the slowest stage. */
  readonly furtherChunksMs: number;
}

/** How near the least longest stage is looked for, as a share of it. */
const NEARNESS = 1e-3;
/** A limit that was reached counts as kept to, whatever the rounding. */
const ROUNDING = 1e-9;

/** @param division the fastest for a single stream */
export function balance(problem: SplitProblem, division: Division, slack: Slack): Division {
  const { stages, furtherChunks, leastSlowestMs } = problem;
  const mostMs = (sumOf(stages, division, 'request') + slack.sumMs) * (1 + ROUNDING);
  const slowestMs = Math.max(leastSlowestMs, longestOf(stages, division, 'chunk'));
  const chunkMs = (slowestMs + slack.furtherChunksMs / Math.max(1, furtherChunks)) * (1 + ROUNDING);
  const within = (tokenMs: number): Limits => ({ tokenMs, chunkMs });
  let best = division;
  let longestMs = longestOf(stages, division, 'token');
  let impossibleMs = 0;
  while (longestMs - impossibleMs > NEARNESS * longestMs) {
    const middleMs = (longestMs + impossibleMs) / 2;
    const path = shortestPath(problem, within(middleMs));
    if (path === null || path.ms > mostMs) impossibleMs = middleMs;
    else [best, longestMs] = [path.division, longestOf(stages, path.division, 'token')];
  }
  const fastest = splitLayers(problem, within(longestMs * (1 + ROUNDING)));
  return fastest !== null && sumOf(stages, fastest, 'request') <= mostMs ? fastest : best;
}
