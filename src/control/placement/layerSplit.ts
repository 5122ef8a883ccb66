/**
 * The best division of a model's layers over stages in a given order, by dynamic programming. What is least is the time
 * of one request,
 *
 *   Σ over stages (answer tokens × decode + chunk) + (chunks − 1) × the slowest stage's chunk,
 *
 * under each stage's memory, with a layer at least for each. The sum alone would be an ordinary shortest path; for the
 * slowest stage's sake each boundary keeps all divisions of which none is better in both sum and slowest.
 */

export interface Stage {
  /** Of the layers before each boundary, in ms: what they add to the sum, and to one chunk. `[boundaries]` */
  readonly sumMs: Float64Array;
  readonly chunkMs: Float64Array;
  /** Added for each shard, and for the last one once more. */
  readonly besideSumMs: number;
  readonly besideChunkMs: number;
  readonly headSumMs: number;
  readonly headChunkMs: number;
  /** For each boundary, the last one before the end that a shard from there can reach: itself when none fits. */
  readonly farthest: Int32Array;
  /** For each boundary, 1 when a shard from there to the end fits. */
  readonly reachesEnd: Uint8Array;
}

export interface SplitProblem {
  readonly stages: readonly Stage[];
  /** Number of the last boundary: the end of the model. */
  readonly end: number;
  /** Is a shard between these boundaries legal? */
  readonly isLegal: (from: number, to: number) => boolean;
  /** Chunks of the prompt beyond the first. */
  readonly furtherChunks: number;
  /** The slowest step of the pipeline is at least this: a link's, in ms. */
  readonly leastSlowestMs: number;
  /** A division that takes this long, in ms, is as good as none. */
  readonly cutoffMs: number;
}

/** A way to a boundary. */
interface Division {
  readonly sumMs: number;
  readonly slowestMs: number;
  readonly boundary: number;
  readonly before: Division | null;
}

/** @returns numbers of the boundaries, from 0 to `end`, one more than stages; null when nothing fits in time */
export function splitLayers(problem: SplitProblem): readonly number[] | null {
  const { stages, end, furtherChunks, leastSlowestMs } = problem;
  if (stages.length > end) return null;
  const rest = leastRest(problem);
  if (!(rest[0]![0]! + furtherChunks * leastSlowestMs < problem.cutoffMs)) return null;
  const start: Division = { sumMs: 0, slowestMs: leastSlowestMs, boundary: 0, before: null };
  let best = shortestPath(problem, rest, start);
  let bestMs = best.sumMs + furtherChunks * best.slowestMs;
  if (!(bestMs < problem.cutoffMs)) bestMs = problem.cutoffMs;
  let divisions = [start];
  for (let stage = 0; stage < stages.length; stage += 1) {
    const isLast = stage === stages.length - 1;
    const after = rest[stage + 1]!;
    const arrived = new Map<number, Division[]>();
    for (const before of divisions) {
      forEachShard(problem, stage, before.boundary, (to, sumMs, chunkMs) => {
        const slowestMs = Math.max(before.slowestMs, chunkMs);
        const reachedMs = before.sumMs + sumMs;
        const leastMs = reachedMs + furtherChunks * slowestMs + after[to]!;
        if (!(leastMs < bestMs)) return;
        const division = { sumMs: reachedMs, slowestMs, boundary: to, before };
        if (isLast) {
          best = division;
          bestMs = leastMs;
        } else if (arrived.has(to)) arrived.get(to)!.push(division);
        else arrived.set(to, [division]);
      });
    }
    divisions = [...arrived.values()].flatMap(undominated);
  }
  return best.sumMs + furtherChunks * best.slowestMs < problem.cutoffMs ? boundariesOf(best) : null;
}

type Visit = (to: number, sumMs: number, chunkMs: number) => void;

/** Legal shards of a stage that fit and leave a layer at least for each stage behind it. */
function forEachShard(
  { stages, end, isLegal }: SplitProblem,
  rank: number,
  from: number,
  visit: Visit,
): void {
  const stage = stages[rank]!;
  const later = stages.length - 1 - rank;
  const beforeSumMs = stage.besideSumMs - stage.sumMs[from]!;
  const beforeChunkMs = stage.besideChunkMs - stage.chunkMs[from]!;
  if (later === 0) {
    if (stage.reachesEnd[from] === 0 || !isLegal(from, end)) return;
    const sumMs = stage.sumMs[end]! + beforeSumMs + stage.headSumMs;
    visit(end, sumMs, stage.chunkMs[end]! + beforeChunkMs + stage.headChunkMs);
    return;
  }
  const last = Math.min(stage.farthest[from]!, end - later);
  for (let to = from + 1; to <= last; to += 1) {
    if (isLegal(from, to)) visit(to, stage.sumMs[to]! + beforeSumMs, stage.chunkMs[to]! + beforeChunkMs);
  }
}

/** `[stage][boundary]` least sum from there to the end. */
function leastRest(problem: SplitProblem): readonly Float64Array[] {
  const { stages, end, isLegal } = problem;
  const rest = Array.from({ length: stages.length + 1 }, () =>
    new Float64Array(end + 1).fill(Number.POSITIVE_INFINITY),
  );
  rest[stages.length]![end] = 0;
  for (let rank = stages.length - 1; rank >= 0; rank -= 1) {
    const { sumMs, besideSumMs, headSumMs, farthest, reachesEnd } = stages[rank]!;
    const [here, after] = [rest[rank]!, rest[rank + 1]!];
    const later = stages.length - 1 - rank;
    const lastFrom = rank === 0 ? 0 : end - (stages.length - rank);
    for (let from = rank; from <= lastFrom; from += 1) {
      // As `forEachShard`, written out: nearly all of the time of placement is spent in this loop.
      let least = Number.POSITIVE_INFINITY;
      const last = later === 0 ? end : Math.min(farthest[from]!, end - later);
      for (let to = later === 0 ? end : from + 1; to <= last; to += 1) {
        const ms = sumMs[to]! + after[to]!;
        if (ms < least && isLegal(from, to)) least = ms;
      }
      if (later === 0 && reachesEnd[from] === 0) least = Number.POSITIVE_INFINITY;
      least += besideSumMs - sumMs[from]! + (later === 0 ? headSumMs : 0);
      here[from] = least;
    }
  }
  return rest;
}

/** The division with the least sum: a first one to measure others by. */
function shortestPath(problem: SplitProblem, rest: readonly Float64Array[], start: Division): Division {
  let division = start;
  for (let stage = 0; stage < problem.stages.length; stage += 1) {
    let leastMs = Number.POSITIVE_INFINITY;
    const before = division;
    forEachShard(problem, stage, before.boundary, (to, sumMs, chunkMs) => {
      const ms = sumMs + rest[stage + 1]![to]!;
      if (!(ms < leastMs)) return;
      leastMs = ms;
      const slowestMs = Math.max(before.slowestMs, chunkMs);
      division = { sumMs: before.sumMs + sumMs, slowestMs, boundary: to, before };
    });
  }
  return division;
}

/** Without those that another beats in sum and slowest. */
function undominated(divisions: Division[]): Division[] {
  if (divisions.length < 2) return divisions;
  const kept: Division[] = [];
  divisions.sort((a, b) => a.sumMs - b.sumMs || a.slowestMs - b.slowestMs);
  for (const division of divisions) {
    const last = kept.at(-1);
    if (last === undefined || division.slowestMs < last.slowestMs) kept.push(division);
  }
  return kept;
}

function boundariesOf(last: Division): number[] {
  const boundaries: number[] = [];
  for (let at: Division | null = last; at !== null; at = at.before) boundaries.push(at.boundary);
  return boundaries.reverse();
}
