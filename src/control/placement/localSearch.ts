/** Good tours over some of many machines, without looking at all of them. Every step is bounded and repeatable. */
import type { Strategy } from './strategy.js';

/** Times that a whole round of exchanges, or of turns of a tour, is made. */
const ROUNDS = 2;
/** Machines outside of a tour that are tried in place of each member in one round. */
const TRIED_OUTSIDERS = 12;
/** Exchanges that are judged in one search. */
const MOST_JUDGED = 600;

/** Puts others in the place of members while that makes bound and ways together less. */
export function improveOrder(
  strategy: Strategy,
  tour: readonly number[],
  indexes: readonly number[],
): number[] {
  const judge = (order: readonly number[]): number => strategy.boundMs(order) + strategy.waysMs(order);
  const alone = new Map(indexes.map((index) => [index, strategy.boundMs([index])]));
  const byBound = [...indexes].sort((a, b) => alone.get(a)! - alone.get(b)! || a - b);
  let best = [...tour];
  let bestMs = judge(best);
  let judged = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const before = bestMs;
    for (let at = 0; at < tour.length; at += 1) {
      const outsiders = byBound.filter((index) => !best.includes(index)).slice(0, TRIED_OUTSIDERS);
      for (const outsider of outsiders) {
        if (judged >= MOST_JUDGED) return best;
        judged += 1;
        const exchanged = best.with(at, outsider);
        const ms = judge(exchanged);
        if (ms < bestMs) [best, bestMs] = [exchanged, ms];
      }
    }
    if (bestMs === before) break;
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
      const ms = strategy.pairMs(from, index);
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
