/**
 * Layers over stages as a shortest path from the model's first boundary to its last, backwards by dynamic programming.
 * A shard from one boundary may end at any up to the farthest that its stage can hold; the farther it begins, the farther
 * it may end, so that the best end of each is the least of a window that only moves on.
 */

/** What a range of layers costs on one machine: sums before each boundary, in ms. `[boundaries]` */
export interface RangeCosts {
  readonly beforeMs: Float64Array;
  /** Added for each shard, and for the last one once more. */
  readonly besideMs: number;
  readonly headMs: number;
}

export interface Stage {
  /** Of all that a request adds to the sum over the stages. */
  readonly request: RangeCosts;
  /** Of one decoded token, and of one chunk of the prompt. */
  readonly token: RangeCosts;
  readonly chunk: RangeCosts;
  /** For each boundary, the last one before the end that a shard from there can reach: itself when none fits. */
  readonly farthest: Int32Array;
  /** For each boundary, 1 when a shard from there to the end fits. */
  readonly reachesEnd: Uint8Array;
}

export interface PathProblem {
  readonly stages: readonly Stage[];
  /** Number of the last boundary: the end of the model. */
  readonly end: number;
  /** Is a shard between these boundaries legal? Null when all are. */
  readonly isLegal: ((from: number, to: number) => boolean) | null;
  /** For as many stages and boundaries at least. */
  readonly space: PathSpace;
}

/** What no stage may take longer for, in ms. */
export interface Limits {
  readonly tokenMs: number;
  readonly chunkMs: number;
}

export const NO_LIMITS: Limits = { tokenMs: Number.POSITIVE_INFINITY, chunkMs: Number.POSITIVE_INFINITY };

export interface Path {
  /** Numbers of the boundaries, from 0 to `end`, one more than stages. */
  readonly division: readonly number[];
  readonly ms: number;
}

/** What a search writes into, made once: arrays for each of many would cost more than what they are for. */
export class PathSpace {
  /** `[boundary]` least sums before and after a stage. */
  here: Float64Array;
  after: Float64Array;
  /** `[stage × (end + 1) + boundary]` where the best shard from there ends. */
  readonly ends: Int32Array;
  readonly queue: Int32Array;

  /** @param end as `PathProblem.end` */
  constructor(mostStages: number, end: number) {
    this.here = new Float64Array(end + 1);
    this.after = new Float64Array(end + 1);
    this.ends = new Int32Array(mostStages * (end + 1));
    this.queue = new Int32Array(end + 1);
  }

  /** From the sums before a stage to the stage before it. */
  turn(): void {
    [this.here, this.after] = [this.after, this.here];
    this.here.fill(Number.POSITIVE_INFINITY);
  }
}

/** The division with the least sum of what a request adds; null when none fits within the limits. */
export function shortestPath(problem: PathProblem, limits: Limits): Path | null {
  const { stages, end, space } = problem;
  if (stages.length > end) return null;
  space.turn();
  toTheEnd(problem, limits);
  for (let rank = stages.length - 2; rank >= 0; rank -= 1) {
    space.turn();
    extend(problem, rank, limits);
  }
  const ms = space.here[0]!;
  if (ms === Number.POSITIVE_INFINITY) return null;
  const division = [0];
  for (let rank = 0; rank < stages.length - 1; rank += 1) {
    division.push(space.ends[rank * (end + 1) + division.at(-1)!]!);
  }
  return { division: [...division, end], ms };
}

/** The last stage goes to the end, whatever its beginning. */
function toTheEnd({ stages, end, isLegal, space }: PathProblem, limits: Limits): void {
  const { request, token, chunk, reachesEnd } = stages.at(-1)!;
  for (let from = stages.length - 1; from < end; from += 1) {
    if (reachesEnd[from] === 0 || isLegal?.(from, end) === false) continue;
    if (toEndMs(token, from, end) > limits.tokenMs || toEndMs(chunk, from, end) > limits.chunkMs) continue;
    space.here[from] = toEndMs(request, from, end);
  }
}

function toEndMs({ beforeMs, besideMs, headMs }: RangeCosts, from: number, end: number): number {
  return beforeMs[end]! - beforeMs[from]! + besideMs + headMs;
}

/** From the least sums after a stage to those before it. */
function extend(problem: PathProblem, rank: number, limits: Limits): void {
  const { stages, end, isLegal, space } = problem;
  const { request, token, chunk, farthest } = stages[rank]!;
  const { here, after, queue, ends } = space;
  const endsAt = rank * (end + 1);
  const mostTokenMs = limits.tokenMs - token.besideMs;
  const mostChunkMs = limits.chunkMs - chunk.besideMs;
  const { beforeMs, besideMs } = request;
  const [tokenBeforeMs, chunkBeforeMs] = [token.beforeMs, chunk.beforeMs];
  /** The last boundary that leaves a layer for each stage behind. */
  const mostTo = end - (stages.length - 1 - rank);
  const lastFrom = rank === 0 ? 0 : mostTo - 1;
  // In the queue are boundaries of the window of which none is followed by a better one: the first is the best.
  let first = 0;
  let behind = 0;
  let reached = rank;
  for (let from = rank; from <= lastFrom; from += 1) {
    const last = Math.min(farthest[from]!, mostTo);
    if (reached < from) reached = from;
    while (
      reached < last &&
      tokenBeforeMs[reached + 1]! - tokenBeforeMs[from]! <= mostTokenMs &&
      chunkBeforeMs[reached + 1]! - chunkBeforeMs[from]! <= mostChunkMs
    ) {
      reached += 1;
      const ms = beforeMs[reached]! + after[reached]!;
      while (behind > first) {
        const before = queue[behind - 1]!;
        if (beforeMs[before]! + after[before]! < ms) break;
        behind -= 1;
      }
      queue[behind] = reached;
      behind += 1;
    }
    while (first < behind && queue[first]! <= from) first += 1;
    let to = first < behind ? queue[first]! : from;
    if (isLegal?.(from, to) === false) to = bestLegal(problem, beforeMs, from, reached);
    if (to === from) continue;
    ends[endsAt + from] = to;
    here[from] = beforeMs[to]! + after[to]! + besideMs - beforeMs[from]!;
  }
}

/** Where the best of the shards that are legal ends; `from` where none is. */
function bestLegal(
  { isLegal, space }: PathProblem,
  beforeMs: Float64Array,
  from: number,
  reached: number,
): number {
  let best = from;
  let leastMs = Number.POSITIVE_INFINITY;
  for (let to = from + 1; to <= reached; to += 1) {
    const ms = beforeMs[to]! + space.after[to]!;
    if (ms < leastMs && isLegal?.(from, to) !== false) [best, leastMs] = [to, ms];
  }
  return best;
}
