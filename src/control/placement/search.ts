/**
 * Which machines, in which order? Up to `EXACT_MACHINES` of them all orders of all sets are looked at, best bound first
 * and until no bound promises more than `SEARCH_TOLERANCE`. Of more machines, sets of three and more are improved by
 * swapping members, from several beginnings, and only promising orders of the best sets are solved.
 */
import { improveSet, nearestTour, shortenTour } from './localSearch.js';
import { IMPOSSIBLE_MS, type Solution, type Strategy } from './strategy.js';

export interface SearchSpace {
  readonly strategy: Strategy;
  /** Number of machines: they are 0 to this. */
  readonly machines: number;
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

const EXACT_MACHINES = 6;
const SEARCH_TOLERANCE = 0.001;
/** All orders of sets of up to two are looked at, however many machines there are; so many are solved at most. */
const EXACT_COUNT = 2;
const SOLVED_ORDERS = 24;
/** Sets that local search ends at of which orders are tried. */
const TRIED_SETS = 3;
const PERMUTED_MACHINES = 6;

export function search(space: SearchSpace): Found | null {
  const { machines, count } = space;
  if (count > machines) return null;
  const indexes = Array.from({ length: machines }, (_, index) => index);
  if (machines <= EXACT_MACHINES) return solveBest(space, allOrders(combinations(indexes, count)), Infinity);
  if (count <= EXACT_COUNT) return solveBest(space, allOrders(combinations(indexes, count)), SOLVED_ORDERS);
  const sets = beginnings(space, indexes).map((members) => improveSet(space.strategy, members, indexes));
  const distinct = new Map(sets.map((set) => [set.members.join(), set]));
  const best = [...distinct.values()].sort((a, b) => a.ms - b.ms).slice(0, TRIED_SETS);
  return solveBest(
    space,
    best.flatMap(({ members }) => promisingOrders(space.strategy, members)),
    SOLVED_ORDERS,
  );
}

/** Solves orders until no other can be better by more than the tolerance, or so many are solved. */
function solveBest(
  space: SearchSpace,
  orders: Iterable<readonly number[]>,
  mostSolved: number,
): Found | null {
  const { strategy, handicap } = space;
  const bounds = new Map<string, number>();
  const promising: { readonly order: readonly number[]; readonly least: number }[] = [];
  for (const order of orders) {
    const members = [...order].sort((a, b) => a - b);
    const key = members.join();
    const bound = bounds.get(key) ?? strategy.boundMs(members);
    bounds.set(key, bound);
    if (bound >= IMPOSSIBLE_MS) continue;
    const least = (bound + strategy.waysMs(order)) * handicap(members);
    if (least < IMPOSSIBLE_MS) promising.push({ order, least });
  }
  promising.sort((a, b) => a.least - b.least);
  let best: Found | null = null;
  let solved = 0;
  for (const { order, least } of promising) {
    if (solved >= mostSolved) break;
    if (best !== null && least >= best.score * (1 - SEARCH_TOLERANCE)) break;
    const solution = strategy.solve(order);
    solved += 1;
    if (solution === null) continue;
    const score = solution.requestMs * handicap(order);
    if (best === null || score < best.score) best = { solution, score };
  }
  return best;
}

/** Sets to begin with: the fastest alone, the roomiest, and the nearest of each of several. */
function beginnings({ strategy, count }: SearchSpace, indexes: readonly number[]): number[][] {
  const alone = new Map(indexes.map((index) => [index, strategy.boundMs([index])]));
  const byBound = [...indexes].sort((a, b) => alone.get(a)! - alone.get(b)! || a - b);
  const nearOf = (centre: number): number[] =>
    [...indexes]
      .filter((index) => index !== centre)
      .sort(
        (a, b) =>
          strategy.waysMs([centre, a]) - strategy.waysMs([centre, b]) || alone.get(a)! - alone.get(b)!,
      )
      .slice(0, count - 1)
      .concat(centre);
  return [byBound.slice(0, count), ...byBound.slice(0, TRIED_SETS).map(nearOf)];
}

function promisingOrders(strategy: Strategy, members: readonly number[]): readonly number[][] {
  if (members.length <= PERMUTED_MACHINES) return [...permutations(members)];
  const tour = shortenTour(strategy, nearestTour(strategy, members));
  return [tour, [...tour].reverse()].flatMap((way) =>
    way.map((_, at) => [...way.slice(at), ...way.slice(0, at)]),
  );
}

function* allOrders(sets: Iterable<readonly number[]>): Generator<readonly number[]> {
  for (const set of sets) yield* permutations(set);
}

function* combinations(items: readonly number[], count: number): Generator<number[]> {
  if (count === 0) {
    yield [];
    return;
  }
  for (let at = 0; at + count <= items.length; at += 1) {
    for (const rest of combinations(items.slice(at + 1), count - 1)) yield [items[at]!, ...rest];
  }
}

function* permutations(items: readonly number[]): Generator<number[]> {
  if (items.length < 2) {
    yield [...items];
    return;
  }
  for (const first of items) {
    for (const rest of permutations(items.filter((item) => item !== first))) yield [first, ...rest];
  }
}
