/** Good tours over some of many machines, without looking at all of them. Every step is bounded and repeatable. */
import type { Strategy } from './strategy.js';

/** Times that a whole round of exchanges, or of turns of a tour, is made. */
const ROUNDS = 2;
/** Machines outside of a tour that are tried in place of each member in one round: of the roomiest, of the fastest. */
const TRIED_OUTSIDERS = 6;
/** Exchanges that are judged in one search. */
const MOST_JUDGED = 300;

/** All machines. */
export interface Ranked {
  /** By what they lack alone, and of those that lack nothing the fastest first. */
  readonly roomiest: readonly number[];
  readonly fastest: readonly number[];
}

export function rank(strategy: Strategy, machines: number): Ranked {
  const indexes = Array.from({ length: machines }, (_, index) => index);
  const bound = indexes.map((index) => strategy.boundMs([index]));
  const pace = indexes.map((index) => strategy.paceMs(index));
  return {
    roomiest: indexes.toSorted((a, b) => bound[a]! - bound[b]! || pace[a]! - pace[b]!),
    fastest: indexes.toSorted((a, b) => pace[a]! - pace[b]!),
  };
}

function outsidersOf(machines: readonly number[], tour: readonly number[]): number[] {
  const outsiders: number[] = [];
  for (const index of machines) {
    if (outsiders.length === TRIED_OUTSIDERS) break;
    if (!tour.includes(index)) outsiders.push(index);
  }
  return outsiders;
}

/** Puts others in the place of members while that makes bound and ways together less. */
export function improveOrder(strategy: Strategy, tour: readonly number[], ranked: Ranked): number[] {
  const judge = (order: readonly number[]): number => strategy.boundMs(order) + strategy.orderMs(order);
  const { roomiest, fastest } = ranked;
  let best = [...tour];
  let bestMs = judge(best);
  let judged = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const before = bestMs;
    for (let at = 0; at < tour.length; at += 1) {
      const outsiders = new Set([...outsidersOf(roomiest, best), ...outsidersOf(fastest, best)]);
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
  let leastMs = strategy.orderMs(best);
  for (let round = 0; round < ROUNDS; round += 1) {
    const before = leastMs;
    for (let from = 1; from < tour.length - 1; from += 1) {
      for (let to = from + 1; to < tour.length; to += 1) {
        const turned = [...best.slice(0, from), ...best.slice(from, to + 1).reverse(), ...best.slice(to + 1)];
        const ms = strategy.orderMs(turned);
        if (ms < leastMs) [best, leastMs] = [turned, ms];
      }
    }
    if (leastMs === before) break;
  }
  return best;
}
