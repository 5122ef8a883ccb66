/** Good sets and orders of many machines, without looking at all of them. Every step is bounded and repeatable. */
import type { Strategy } from './strategy.js';

export interface ImprovedSet {
  /** In ascending order. */
  readonly members: readonly number[];
  /** What it was judged by. */
  readonly ms: number;
}

/** Times that a whole round of swaps, or of turns of a tour, is made. */
const ROUNDS = 3;
/** Machines outside of a set that are tried in place of each member in one round. */
const TRIED_OUTSIDERS = 24;

/** Swaps members for others while that makes bound and ways together less. */
export function improveSet(
  strategy: Strategy,
  members: readonly number[],
  indexes: readonly number[],
): ImprovedSet {
  const judge = (set: readonly number[]): number =>
    strategy.boundMs(set) + strategy.waysMs(nearestTour(strategy, set));
  let best: ImprovedSet = { members: ascending(members), ms: judge(ascending(members)) };
  const alone = new Map(indexes.map((index) => [index, strategy.boundMs([index])]));
  for (let round = 0; round < ROUNDS; round += 1) {
    const before = best;
    const outsiders = indexes
      .filter((index) => !before.members.includes(index))
      .sort((a, b) => alone.get(a)! - alone.get(b)! || a - b)
      .slice(0, TRIED_OUTSIDERS);
    for (const member of before.members) {
      for (const outsider of outsiders) {
        if (!best.members.includes(member) || best.members.includes(outsider)) continue;
        const swapped = ascending(best.members.map((index) => (index === member ? outsider : index)));
        const ms = judge(swapped);
        if (ms < best.ms) best = { members: swapped, ms };
      }
    }
    if (best === before) break;
  }
  return best;
}

/** From the first of them always on to the nearest that is left. */
export function nearestTour(strategy: Strategy, members: readonly number[]): number[] {
  const left = members.slice(1);
  const tour = members.slice(0, 1);
  while (left.length > 0) {
    const from = tour.at(-1)!;
    let nearest = 0;
    let leastMs = Number.POSITIVE_INFINITY;
    left.forEach((index, at) => {
      const ms = strategy.waysMs([from, index]);
      if (ms < leastMs) [nearest, leastMs] = [at, ms];
    });
    tour.push(...left.splice(nearest, 1));
  }
  return tour;
}

/** Turns parts of the tour around while that shortens it. */
export function shortenTour(strategy: Strategy, tour: readonly number[]): number[] {
  let best = [...tour];
  let leastMs = strategy.waysMs(best);
  for (let round = 0; round < ROUNDS; round += 1) {
    const before = leastMs;
    for (let from = 1; from < tour.length - 1; from += 1) {
      for (let to = from + 1; to < tour.length; to += 1) {
        const turned = [...best.slice(0, from), ...best.slice(from, to + 1).reverse(), ...best.slice(to + 1)];
        const ms = strategy.waysMs(turned);
        if (ms < leastMs) [best, leastMs] = [turned, ms];
      }
    }
    if (leastMs === before) break;
  }
  return best;
}

function ascending(members: readonly number[]): number[] {
  return [...members].sort((a, b) => a - b);
}
