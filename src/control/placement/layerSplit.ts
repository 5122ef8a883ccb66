/**
 * The best division of a model's layers over stages in a given order: exact, by dynamic programming. What is least is
 * the time of one request,
 *
 *   Σ over stages (answer tokens × decode + chunk) + (chunks − 1) × the slowest stage's chunk,
 *
 * under each stage's memory, with a layer at least for each. The sum alone would be an ordinary shortest path; for the
 * slowest stage's sake each boundary keeps all divisions of which none is better in both sum and slowest.
 */

export interface Stage {
  /** In ms, of the layers between two boundaries given by their numbers; null where they may not, or do not, fit. */
  readonly decodeMs: (from: number, to: number) => number;
  readonly chunkMs: (from: number, to: number) => number;
  readonly fits: (from: number, to: number) => boolean;
}

export interface SplitProblem {
  readonly stages: readonly Stage[];
  /** Number of the last boundary: the end of the model. */
  readonly end: number;
  /** Is a shard between these boundaries legal? */
  readonly isLegal: (from: number, to: number) => boolean;
  readonly answerTokens: number;
  /** Chunks of the prompt beyond the first. */
  readonly furtherChunks: number;
  /** The slowest step of the pipeline is at least this: a link's, in ms. */
  readonly leastSlowestMs: number;
}

/** A way to a boundary. */
interface Division {
  readonly sumMs: number;
  readonly slowestMs: number;
  readonly boundary: number;
  readonly before: Division | null;
}

/** @returns numbers of the boundaries, from 0 to `end`, one more than stages; null when nothing fits */
export function splitLayers(problem: SplitProblem): readonly number[] | null {
  const { stages, end, furtherChunks, leastSlowestMs } = problem;
  if (stages.length > end) return null;
  const costs = costTables(problem);
  const rest = leastRest(costs, end);
  if (rest[0]![0] === Number.POSITIVE_INFINITY) return null;
  const start: Division = { sumMs: 0, slowestMs: leastSlowestMs, boundary: 0, before: null };
  let best = shortestPath(costs, rest, start, end);
  const requestMs = ({ sumMs, slowestMs }: Division): number => sumMs + furtherChunks * slowestMs;

  let divisions: Division[] = [start];
  for (let stage = 0; stage < stages.length; stage += 1) {
    const arrived: Division[][] = Array.from({ length: end + 1 }, () => []);
    for (const before of divisions) {
      for (const { to, sumMs, chunkMs } of costs[stage]![before.boundary]!) {
        const slowestMs = Math.max(before.slowestMs, chunkMs);
        const division = { sumMs: before.sumMs + sumMs, slowestMs, boundary: to, before };
        if (requestMs(division) + rest[stage + 1]![to]! < requestMs(best)) arrived[to]!.push(division);
      }
    }
    divisions = arrived.flatMap(undominated);
    if (stage === stages.length - 1) {
      for (const division of divisions) if (requestMs(division) < requestMs(best)) best = division;
    }
  }
  return boundariesOf(best);
}

interface Step {
  readonly to: number;
  /** What this shard adds to the sum. */
  readonly sumMs: number;
  readonly chunkMs: number;
}

/** `[stage][from]` legal shards that fit, and from where the end can still be reached with a layer for each stage. */
type CostTables = readonly (readonly (readonly Step[])[])[];

function costTables({ stages, end, isLegal, answerTokens }: SplitProblem): CostTables {
  return stages.map((stage, rank) => {
    const later = stages.length - 1 - rank;
    const table: Step[][] = Array.from({ length: end + 1 }, () => []);
    for (let from = rank; from <= (rank === 0 ? 0 : end - 1 - later); from += 1) {
      for (let to = later === 0 ? end : from + 1; to <= end - later; to += 1) {
        if (!stage.fits(from, to)) break;
        if (!isLegal(from, to)) continue;
        const chunkMs = stage.chunkMs(from, to);
        table[from]!.push({ to, sumMs: answerTokens * stage.decodeMs(from, to) + chunkMs, chunkMs });
      }
    }
    return table;
  });
}

/** `[stage][boundary]` least sum from there to the end. */
function leastRest(costs: CostTables, end: number): readonly Float64Array[] {
  const rest = [...costs, null].map(() => new Float64Array(end + 1).fill(Number.POSITIVE_INFINITY));
  rest[costs.length]![end] = 0;
  for (let stage = costs.length - 1; stage >= 0; stage -= 1) {
    costs[stage]!.forEach((steps, from) => {
      for (const { to, sumMs } of steps) {
        rest[stage]![from] = Math.min(rest[stage]![from]!, sumMs + rest[stage + 1]![to]!);
      }
    });
  }
  return rest;
}

/** The division with the least sum: a first bound for all others. */
function shortestPath(
  costs: CostTables,
  rest: readonly Float64Array[],
  start: Division,
  end: number,
): Division {
  let division = start;
  for (let stage = 0; division.boundary < end; stage += 1) {
    const steps = costs[stage]![division.boundary]!;
    const left = (step: Step): number => step.sumMs + rest[stage + 1]![step.to]!;
    const step = steps.reduce((best, next) => (left(next) < left(best) ? next : best));
    division = {
      sumMs: division.sumMs + step.sumMs,
      slowestMs: Math.max(division.slowestMs, step.chunkMs),
      boundary: step.to,
      before: division,
    };
  }
  return division;
}

/** Without those that another beats in sum and slowest. */
function undominated(divisions: readonly Division[]): Division[] {
  const kept: Division[] = [];
  const sorted = [...divisions].sort((a, b) => a.sumMs - b.sumMs || a.slowestMs - b.slowestMs);
  for (const division of sorted) {
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
