/**
 * The choice among machines that may be used: as few as it takes (R37), and of as many the ones with which a request is
 * done first. More than it takes only where that was asked for: by number or by name, or, with `preferSpeed` and for
 * slices, where they make it faster. A context that was not asked for is halved until it fits before another machine
 * is added.
 */
import { ENGINE, LIMITS } from '../../shared/limits.js';
import { slicesRefusal } from '../../shared/modelDivision.js';
import type { CostParameters } from './costParameters.js';
import type { Machines } from './machines.js';
import { Network } from './network.js';
import { Pipelines } from './pipeline.js';
import { type Found, search } from './search.js';
import type { CacheSize } from './shardMemory.js';
import { IMPOSSIBLE_MS, type Solution, type Strategy } from './strategy.js';
import { Tensor } from './tensor.js';
import type { ModelShape, PlacementWish } from './types.js';

export interface Choice {
  readonly solution: Solution;
  readonly size: CacheSize;
}

export interface ChoiceParts {
  readonly model: ModelShape;
  readonly machines: Machines;
  readonly wish: PlacementWish;
  readonly parameters: CostParameters;
}

/** More KV cells than one context may cost so much of a request's time, as a share. */
const CACHE_GROWTH_SHARE = 0.005;
/** Numbers of machines tried in a row without success, or without more speed, where there are many machines. */
const TRIED_COUNTS = 6;
const COUNTS_WITHOUT_GAIN = 2;
const FEW_MACHINES = 6;

/** Null when there is none. */
export function choose(parts: ChoiceParts): Choice | null {
  const { machines, wish } = parts;
  const { least, most } = countsOf(wish, machines.all.length);
  const strategies = strategiesOf(parts);
  const isExhaustive = machines.all.length <= FEW_MACHINES;
  let best: (Found & { readonly size: CacheSize; readonly ofSize: OfSize }) | null = null;
  let failures = 0;
  const roomiest = roomiestFirst(machines);
  const contexts = contextOptions(parts.model, wish);
  for (let count = least; count <= most; count += 1) {
    const ofSize = strategies(count);
    if (ofSize === null) continue;
    const shortest = ofSize(oneContext(contexts.at(-1)!, wish));
    if (shortest.boundMs(roomiest.slice(0, count)) >= IMPOSSIBLE_MS) continue;
    const found = longestContext(parts, { contexts, count, ofSize, roomiest });
    if (found !== null && (best === null || found.score < best.score)) {
      best = { ...found, ofSize };
      failures = 0;
    } else failures += 1;
    if (best !== null && !seeksSpeed(wish)) break;
    if (!isExhaustive && failures >= (best === null ? TRIED_COUNTS : COUNTS_WITHOUT_GAIN)) break;
  }
  if (best === null) return null;
  const { solution, size } = grow(parts, best, best.ofSize);
  return { solution: best.ofSize(size).balance(solution), size };
}

/** Contexts to try in turn, longest first, in tokens: one when it was asked for. */
export function contextOptions({ trainedContextTokens }: ModelShape, wish: PlacementWish): readonly number[] {
  if (wish.contextTokens !== null) return [wish.contextTokens];
  const options = [Math.min(ENGINE.contextTokens, trainedContextTokens ?? ENGINE.contextTokens)];
  while (options.at(-1)! / 2 >= ENGINE.leastContextTokens) options.push(Math.floor(options.at(-1)! / 2));
  return options;
}

/** How many nodes are asked for at least, and may be used at most. */
export function countsOf(
  wish: PlacementWish,
  machines: number,
): { readonly least: number; readonly most: number } {
  const named = wish.nodeIds === null ? 1 : new Set(wish.nodeIds).size;
  return {
    least: Math.max(1, wish.minNodes ?? 1, named, wish.requireRdma ? 2 : 1),
    most: Math.min(machines, LIMITS.shardsPerInstance),
  };
}

export function oneContext(contextTokens: number, wish: PlacementWish, contexts = 1): CacheSize {
  return {
    contextTokens,
    sequences: wish.sequences ?? ENGINE.sequences,
    cacheCells: contextTokens * contexts,
  };
}

function seeksSpeed({ sharding, preferSpeed }: PlacementWish): boolean {
  return preferSpeed || sharding === 'Tensor';
}

type OfSize = (size: CacheSize) => Strategy;

/** How the model is divided over so many machines; null when it cannot be. */
function strategiesOf({ model, machines, wish, parameters }: ChoiceParts): (count: number) => OfSize | null {
  const network = new Network(machines, wish);
  const parts = { model, machines, network, parameters };
  const whole = new Pipelines(parts, null);
  const cut = model.cuts.canBeCut ? new Pipelines(parts, model.cuts) : null;
  return (count) => {
    if (count === 1) return (size) => whole.ofSize(size);
    if (wish.sharding === 'Tensor') {
      if (slicesRefusal(model.slices, count) !== null) return null;
      return (size) => new Tensor({ ...parts, ranks: count, size });
    }
    return cut === null || count > cut.mostShards ? null : (size) => cut.ofSize(size);
  };
}

function roomiestFirst({ all }: Machines): number[] {
  return all.map((_, index) => index).sort((a, b) => all[b]!.freeBytes - all[a]!.freeBytes || a - b);
}

interface Attempt {
  readonly contexts: readonly number[];
  readonly count: number;
  readonly ofSize: OfSize;
  readonly roomiest: readonly number[];
}

function longestContext(
  { machines, wish, parameters }: ChoiceParts,
  { contexts, count, ofSize, roomiest }: Attempt,
): (Found & { readonly size: CacheSize }) | null {
  const handicap = (order: readonly number[]): number => {
    const missing = order.filter((index) => !machines.all[index]!.node.hasModelFiles).length;
    return 1 + (parameters.missingFilesShare * missing) / order.length;
  };
  for (const contextTokens of contexts) {
    const size = oneContext(contextTokens, wish);
    const found = search({ strategy: ofSize(size), machines: roomiest, count, handicap });
    if (found !== null) return { ...found, size };
  }
  return null;
}

/**
 * As many contexts, up to one for each sequence, as stay within `ENGINE.cacheMemoryShare` of the free memory and do not
 * make it slower.
 */
function grow(
  { machines, wish }: ChoiceParts,
  found: Found & { readonly size: CacheSize },
  ofSize: OfSize,
): Choice {
  const { solution, size } = found;
  const freeBytes = solution.order.reduce((sum, index) => sum + machines.all[index]!.freeBytes, 0);
  const mostMs = solution.requestMs * (1 + CACHE_GROWTH_SHARE);
  for (let contexts = size.sequences; contexts > 1; contexts -= 1) {
    const larger = oneContext(size.contextTokens, wish, contexts);
    const grown = ofSize(larger).solve(solution.order, mostMs);
    if (grown === null) continue;
    const cacheBytes = grown.shards.reduce((sum, { memory }) => sum + memory.cacheBytes, 0);
    if (cacheBytes <= freeBytes * ENGINE.cacheMemoryShare) return { solution: grown, size: larger };
  }
  return { solution, size };
}
