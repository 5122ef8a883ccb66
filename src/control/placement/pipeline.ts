/**
 * A model as a pipeline: each machine computes a range of layers and passes hidden states on. A token passes all
 * stages one after the other and goes back to the first as a number; of a prompt, several chunks are under way at once,
 * so that the slowest stage sets the pace. One machine with the whole model is a pipeline of one.
 */
import type { LayerCuts } from '../../shared/modelDivision.js';
import { balance } from './balance.js';
import { longestOf, type SplitProblem, splitLayers, sumOf } from './layerSplit.js';
import { PipelineBounds } from './pipelineBounds.js';
import { PipelineCosts, type PipelineParts } from './pipelineCosts.js';
import { type CacheSize, ShardSizes } from './shardMemory.js';
import type { Stage } from './shortestPath.js';
import { IMPOSSIBLE_MS, type Solution, type Strategy } from './strategy.js';

/** Those of each size of the cache. */
export class Pipelines {
  readonly #costs: PipelineCosts;
  readonly #bySize = new Map<string, Pipeline>();

  /** @param cuts null for the model as a whole */
  constructor(parts: PipelineParts, cuts: (LayerCuts & { readonly canBeCut: true }) | null) {
    this.#costs = new PipelineCosts(parts, cuts);
  }

  get mostShards(): number {
    return this.#costs.boundaries.length - 1;
  }

  ofSize(size: CacheSize): Strategy {
    const name = `${size.contextTokens} ${size.sequences} ${size.cacheCells}`;
    const known = this.#bySize.get(name);
    if (known !== undefined) return known;
    const pipeline = new Pipeline(this.#costs, size);
    this.#bySize.set(name, pipeline);
    return pipeline;
  }
}

class Pipeline implements Strategy {
  readonly #costs: PipelineCosts;
  readonly #sizes: ShardSizes;
  readonly #bounds: PipelineBounds;
  readonly #stages: Stage[] = [];

  constructor(costs: PipelineCosts, size: CacheSize) {
    this.#costs = costs;
    this.#sizes = new ShardSizes(costs.parts.model, size, costs.boundaries);
    this.#bounds = new PipelineBounds(costs, this.#sizes);
  }

  boundMs(machines: readonly number[]): number {
    return this.#bounds.requestMs(machines);
  }

  closeBoundMs(machines: readonly number[], cutoffMs: number): number {
    return this.#bounds.closeRequestMs(machines, cutoffMs);
  }

  orderMs(order: readonly number[]): number {
    return this.#costs.waysMs(order) + this.#bounds.headBeyondLeastMs(order);
  }

  paceMs(machine: number): number {
    return this.#bounds.paceMs(machine);
  }

  pairMs(from: number, to: number): number {
    return this.#costs.pairMs(from, to);
  }

  solve(order: readonly number[], cutoffMs: number): Solution | null {
    if (this.#costs.parts.network.needed(order).includes(null)) return null;
    const problem = this.#problem(order, cutoffMs - this.#costs.waysMs(order));
    const division = splitLayers(problem);
    return division === null ? null : this.#solutionOf(order, division);
  }

  balance(solution: Solution): Solution {
    const { order, tokenMs, requestMs } = solution;
    if (order.length < 2) return solution;
    const { answerTokens, balanceTokenShare, balanceRequestShare } = this.#costs.parts.parameters;
    const problem = this.#problem(order, IMPOSSIBLE_MS);
    const division = order.map((_, rank) => this.#costs.boundaryAt(solution.shards[rank]!.startLayer));
    const balanced = balance(problem, [...division, problem.end], {
      sumMs: balanceTokenShare * answerTokens * tokenMs,
      furtherChunksMs: balanceRequestShare * requestMs,
    });
    return this.#solutionOf(order, balanced);
  }

  #problem(order: readonly number[], cutoffMs: number): SplitProblem {
    return {
      stages: order.map((machine) => this.#stage(machine)),
      end: this.#costs.boundaries.length - 1,
      isLegal: this.#costs.isLegal,
      space: this.#costs.space,
      furtherChunks: this.#costs.chunkCount - 1,
      leastSlowestMs: Math.max(
        this.#slowestLinkMs(order, this.#costs.chunkBytes),
        this.#bounds.slowestChunkMs(order),
      ),
      cutoffMs,
    };
  }

  #solutionOf(order: readonly number[], division: readonly number[]): Solution {
    const { parts, boundaries, chunkCount } = this.#costs;
    const stages = order.map((machine) => this.#stage(machine));
    const backMs = order.length > 1 ? this.#costs.returnMs(order.at(-1)!, order[0]!) : 0;
    let tokenMs = backMs + sumOf(stages, division, 'token');
    let firstTokenMs = backMs + sumOf(stages, division, 'chunk');
    for (let rank = 1; rank < order.length; rank += 1) {
      tokenMs += this.#costs.hopMs(order[rank - 1]!, order[rank]!);
      firstTokenMs += this.#costs.chunkHopMs(order[rank - 1]!, order[rank]!);
    }
    const slowestMs = Math.max(
      this.#slowestLinkMs(order, this.#costs.chunkBytes),
      longestOf(stages, division, 'chunk'),
    );
    const longestStageMs = Math.max(
      this.#slowestLinkMs(order, this.#costs.hiddenBytes),
      longestOf(stages, division, 'token'),
    );
    firstTokenMs += (chunkCount - 1) * slowestMs;
    return {
      order,
      shards: order.map((_, rank) => ({
        startLayer: boundaries[division[rank]!]!,
        endLayer: boundaries[division[rank + 1]!]!,
        memory: this.#sizes.range(division[rank]!, division[rank + 1]!),
      })),
      tokenMs,
      longestStageMs,
      firstTokenMs,
      requestMs: firstTokenMs + parts.parameters.answerTokens * tokenMs,
    };
  }

  /** So many bytes of one step on the slowest link, while the next step is computed. */
  #slowestLinkMs(order: readonly number[], sizeBytes: number): number {
    const { parts } = this.#costs;
    let slowestMs = 0;
    for (let rank = 1; rank < order.length; rank += 1) {
      const way = parts.network.way(order[rank - 1]!, order[rank]!)!;
      slowestMs = Math.max(slowestMs, sizeBytes / way.bytesPerMs);
    }
    return slowestMs;
  }

  #stage(machine: number): Stage {
    this.#stages[machine] ??= this.#makeStage(machine);
    return this.#stages[machine];
  }

  #makeStage(machine: number): Stage {
    const { parts, boundaries } = this.#costs;
    const { freeBytes } = parts.machines.all[machine]!;
    const end = boundaries.length - 1;
    const farthest = new Int32Array(end + 1);
    for (let from = 0, to = 0; from < end; from += 1) {
      to = Math.max(to, from);
      // The first shard has the embeddings as well, so that a later one may reach farther than it, never less far.
      while (to + 1 < end && this.#sizes.rangeBytes(from, to + 1) <= freeBytes) to += 1;
      farthest[from] = to;
    }
    const reachesEnd = Uint8Array.from({ length: end + 1 }, (_, from) =>
      from < end && this.#sizes.rangeBytes(from, end) <= freeBytes ? 1 : 0,
    );
    return { ...this.#costs.costsOf(machine), farthest, reachesEnd };
  }
}
