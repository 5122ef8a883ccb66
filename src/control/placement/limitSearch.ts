/**
 * The least of a sum over stages plus so many times the slowest of them. The sum alone is easy to make least, also
 * where no stage may be slower than a limit; the limits are searched by halving, and left alone where their bound
 * promises nothing.
 */

export interface LimitSearch {
  /** How often the slowest stage counts besides. */
  readonly times: number;
  /** The slowest is at least this, in ms. */
  readonly leastSlowestMs: number;
  /** What takes this long, in ms, is as good as nothing. */
  readonly cutoffMs: number;
  /** The largest limit. @default none */
  readonly mostSlowestMs?: number;
}

/** The least sum under a limit, and the slowest stage that comes with it, in ms. */
export interface Tried {
  readonly sumMs: number;
  readonly slowestMs: number;
}

/** Limits of which all are above `aboveMs`, and the least sum that the largest of them gives. */
interface Interval {
  readonly aboveMs: number;
  readonly mostMs: number;
  readonly leastSumMs: number;
}

/** What a limit between two others may gain to be looked at, as a share: so near to the least the result is. */
export const LIMIT_TOLERANCE = 1e-4;

/** @param tryLimit null when nothing keeps to the limit */
export function searchLimits<T extends Tried>(
  { times, leastSlowestMs, cutoffMs, mostSlowestMs = Number.POSITIVE_INFINITY }: LimitSearch,
  tryLimit: (limitMs: number) => T | null,
): { readonly tried: T; readonly ms: number } | null {
  let best: { readonly tried: T; readonly ms: number } | null = null;
  let bestMs = cutoffMs;
  const left: Interval[] = [];
  const look = (limitMs: number, aboveMs: number): T | null => {
    const tried = tryLimit(limitMs);
    if (tried === null) return null;
    const slowestMs = Math.max(leastSlowestMs, tried.slowestMs);
    const ms = tried.sumMs + times * slowestMs;
    if (ms < bestMs) [best, bestMs] = [{ tried, ms }, ms];
    if (slowestMs > aboveMs) left.push({ aboveMs, mostMs: slowestMs, leastSumMs: tried.sumMs });
    return tried;
  };
  look(mostSlowestMs, leastSlowestMs);
  for (let interval = left.pop(); interval !== undefined; interval = left.pop()) {
    const { aboveMs, mostMs, leastSumMs } = interval;
    if (leastSumMs + times * aboveMs >= bestMs * (1 - LIMIT_TOLERANCE)) continue;
    const middleMs = (aboveMs + mostMs) / 2;
    left.push({ aboveMs: middleMs, mostMs, leastSumMs });
    look(middleMs, aboveMs);
  }
  return best;
}
