/**
 * Which machines, in which order? Up to `EXACT_MACHINES` of them all orders of all sets are looked at, best bound first
 * and until no bound promises more than `SEARCH_TOLERANCE`. Of more machines, sets of three and more are improved by
 * putting others in their place, from several beginnings, and only a bounded number of orders is solved.
 */
import { improveOrder, nearestTour, type Ranked, rank, shortenTour } from './localSearch.js';
import { IMPOSSIBLE_MS, type Solution, type Strategy } from './strategy.js';

export interface SearchSpace {
  readonly strategy: Strategy;
  /** All machines, those with most memory first. */
  readonly machines: readonly number[];
  /** Machines of a solution. */
  readonly count: number;
  /** What a solution of these machines is multiplied with before it is compared: at least 1. */
  readonly handicap: (machines: readonly number[]) => number;
}

export interface Found {
  readonly solution: Solution;
  /** Time of the request times the handicap. */
  readonly score: number;
}

/** A set of machines that may hold it. */
interface Candidate {
  readonly machines: readonly number[];
  readonly leastMs: number;
  readonly handicap: number;
}

const EXACT_MACHINES = 6;
const SEARCH_TOLERANCE = 0.0025;
/** All sets of up to two are looked at, however many machines there are. */
const EXACT_COUNT = 2;
/** Orders solved at most where there are more machines than are searched exactly; of one set, a part of them. */
const SOLVED_ORDERS = 24;
const SETS_SOLVED = 4;
const PERMUTED_MACHINES = 6;

export function search(space: SearchSpace): Found | null {
  const { machines, count, strategy } = space;
  if (count > machines.length) return null;
  const candidates: Candidate[] = [];
  const add = (set: readonly number[]): boolean => {
    const leastMs = strategy.boundMs(set);
    if (leastMs >= IMPOSSIBLE_MS) return false;
    candidates.push({ machines: set, leastMs, handicap: space.handicap(set) });
    return true;
  };
  if (machines.length <= EXACT_MACHINES || count <= EXACT_COUNT) {
    forEachSet(machines, count, add);
    const mostSolved = machines.length <= EXACT_MACHINES ? Number.POSITIVE_INFINITY : SOLVED_ORDERS;
    return solveBest(space, candidates, permutations, mostSolved);
  }
  const ranked = rank(strategy, machines.length);
  const tours = beginnings(space, ranked).map((tour) => improveOrder(strategy, tour, ranked));
  // Unimproved, the roomiest are the likeliest to hold it where memory is tight.
  tours.push(nearestTour(strategy, ranked.roomiest.slice(0, count)));
  const bySet = new Map(tours.map((tour) => [[...tour].sort((a, b) => a - b).join(), tour]));
  for (const tour of bySet.values()) add(tour);
  return solveBest(space, candidates, (tour) => ordersOf(strategy, tour), SOLVED_ORDERS);
}

type OrdersOf = (machines: readonly number[]) => readonly (readonly number[])[];

/** Solves orders until no other can be better by more than the tolerance, or so many are solved. */
function solveBest(
  { strategy }: SearchSpace,
  candidates: Candidate[],
  ordersOf: OrdersOf,
  mostSolved: number,
): Found | null {
  candidates.sort((a, b) => a.leastMs * a.handicap - b.leastMs * b.handicap);
  let best: Found | null = null;
  let solved = 0;
  for (const { machines, leastMs, handicap } of candidates) {
    let cutoffMs = cutoffOf(best, handicap);
    if (leastMs >= cutoffMs) continue;
    const closeMs = strategy.closeBoundMs(machines, cutoffMs);
    if (closeMs >= cutoffMs) continue;
    let solvedOfSet = 0;
    const byAdded = ordersOf(machines).map((order) => ({ order, addedMs: strategy.orderMs(order) }));
    byAdded.sort((a, b) => a.addedMs - b.addedMs);
    for (const { order, addedMs } of byAdded) {
      if (closeMs + addedMs >= cutoffMs) break;
      if (solved >= mostSolved) return best;
      if (solvedOfSet >= mostSolved / SETS_SOLVED) break;
      const solution = strategy.solve(order, cutoffMs);
      solved += 1;
      solvedOfSet += 1;
      if (solution === null) continue;
      best = { solution, score: solution.requestMs * handicap };
      cutoffMs = cutoffOf(best, handicap);
    }
  }
  return best;
}

/** What a solution has to stay below to be worth taking in place of the best. */
function cutoffOf(best: Found | null, handicap: number): number {
  return best === null ? IMPOSSIBLE_MS : (best.score * (1 - SEARCH_TOLERANCE)) / handicap;
}

/** Tours to begin with: the roomiest, the fastest, and the nearest of the fastest. */
function beginnings({ strategy, count }: SearchSpace, { roomiest, fastest }: Ranked): number[][] {
  const [centre, ...others] = fastest;
  others.sort((a, b) => strategy.pairMs(centre!, a) - strategy.pairMs(centre!, b));
  const sets = [roomiest.slice(0, count), fastest.slice(0, count), [centre!, ...others.slice(0, count - 1)]];
  return sets.map((set) => nearestTour(strategy, set));
}

function ordersOf(strategy: Strategy, tour: readonly number[]): number[][] {
  if (tour.length <= PERMUTED_MACHINES) return permutations(tour);
  const short = shortenTour(strategy, tour);
  return [short, [...short].reverse()].flatMap((way) =>
    way.map((_, at) => [...way.slice(at), ...way.slice(0, at)]),
  );
}

/**
 * Every set of so many of the machines that may hold it: where one has too little memory beside the others of a set, those
 * behind it have too.
 * @param visit false where that is so
 */
function forEachSet(
  machines: readonly number[],
  count: number,
  visit: (set: readonly number[]) => boolean,
): void {
  const extend = (set: readonly number[], from: number): void => {
    const isLast = set.length === count - 1;
    for (let next = from; next < machines.length; next += 1) {
      const extended = [...set, machines[next]!];
      if (!isLast) extend(extended, next + 1);
      else if (!visit(extended)) return;
    }
  };
  extend([], 0);
}

function permutations(items: readonly number[]): number[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((first) =>
    permutations(items.filter((item) => item !== first)).map((rest) => [first, ...rest]),
  );
}
