/**
 * A model as slices: every machine computes an equal part of each layer, and their partial sums are added up twice a
 * layer over the network. The slowest machine and the slowest link set the pace. The head is divided too: the logits of a
 * token are one sum more.
 */
import type { CostParameters } from './costParameters.js';
import { layerCosts } from './layerCosts.js';
import type { Machines } from './machines.js';
import type { Network } from './network.js';
import { type CacheSize, ShardSizes, sumsAt } from './shardMemory.js';
import { IMPOSSIBLE_MS, type Solution, type Strategy } from './strategy.js';
import type { ModelShape, ShardMemory } from './types.js';

const SUMS_PER_LAYER = 2;

/** One machine's slice, in ms. */
interface SliceCosts {
  readonly tokenMs: number;
  readonly chunkMs: number;
  readonly headMs: number;
}

/** Of each number the worst of the ways that are needed, and how many of these are not there. */
interface SlowestWay {
  readonly delayMs: number;
  readonly bytesPerMs: number;
  readonly missing: number;
}

interface TensorParts {
  readonly model: ModelShape;
  readonly machines: Machines;
  readonly network: Network;
  readonly parameters: CostParameters;
  readonly ranks: number;
  readonly size: CacheSize;
}

export class Tensor implements Strategy {
  readonly #parts: TensorParts;
  readonly #slices: readonly [lead: ShardMemory, other: ShardMemory];
  readonly #costs: SliceCosts[] = [];
  readonly #chunkTokens: number;
  readonly #chunkCount: number;

  constructor(parts: TensorParts) {
    const { model, parameters, ranks, size } = parts;
    this.#parts = parts;
    const sizes = new ShardSizes(model, size, [0, model.layers]);
    this.#slices = [sizes.slice(0, ranks), sizes.slice(1, ranks)];
    this.#chunkTokens = Math.min(parameters.chunkTokens, parameters.promptTokens);
    this.#chunkCount = Math.max(1, Math.ceil(parameters.promptTokens / parameters.chunkTokens));
  }

  boundMs(machines: readonly number[]): number {
    const { machines: all, parameters } = this.#parts;
    const [lead, other] = this.#slices;
    const lacking = machines.filter((index) => !all.fits(index, other)).length;
    if (lacking > 0 || !machines.some((index) => all.fits(index, lead))) return IMPOSSIBLE_MS * (2 + lacking);
    const { tokenMs, chunkMs, headMs } = this.#slowest(machines);
    return parameters.answerTokens * (tokenMs + headMs) + this.#chunkCount * chunkMs + headMs;
  }

  closeBoundMs(machines: readonly number[]): number {
    return this.boundMs(machines);
  }

  orderMs(order: readonly number[]): number {
    const { answerTokens } = this.#parts.parameters;
    const way = this.#slowestWay(order);
    if (way.missing > 0) return IMPOSSIBLE_MS * way.missing;
    const logitsMs = this.#logitsMs(way);
    return (
      answerTokens * (this.#sumsMs(way, 1) + logitsMs) +
      this.#chunkCount * this.#sumsMs(way, this.#chunkTokens) +
      logitsMs
    );
  }

  paceMs(machine: number): number {
    const { tokenMs, chunkMs } = this.#costsOf(machine);
    return this.#parts.parameters.answerTokens * tokenMs + this.#chunkCount * chunkMs;
  }

  pairMs(from: number, to: number): number {
    return this.orderMs([from, to]);
  }

  solve(order: readonly number[], cutoffMs: number): Solution | null {
    const { machines, parameters, model } = this.#parts;
    const shards = order.map((_, rank) => ({
      startLayer: 0,
      endLayer: model.layers,
      memory: this.#slices[rank === 0 ? 0 : 1],
    }));
    if (!order.every((index, rank) => machines.fits(index, shards[rank]!.memory))) return null;
    const way = this.#slowestWay(order);
    if (way.missing > 0) return null;
    const slowest = this.#slowest(order);
    const headMs = slowest.headMs + this.#logitsMs(way);
    const tokenMs = slowest.tokenMs + headMs + this.#sumsMs(way, 1);
    const chunkMs = slowest.chunkMs + this.#sumsMs(way, this.#chunkTokens);
    const firstTokenMs = this.#chunkCount * chunkMs + headMs;
    const requestMs = firstTokenMs + parameters.answerTokens * tokenMs;
    return requestMs < cutoffMs
      ? { order, shards, tokenMs, longestStageMs: tokenMs, firstTokenMs, requestMs }
      : null;
  }

  /** Slices are equal, and all ranks compute at once. */
  balance(solution: Solution): Solution {
    return solution;
  }

  /** Of each cost the slowest machine's. */
  #slowest(machines: readonly number[]): SliceCosts {
    const costs = machines.map((index) => this.#costsOf(index));
    return {
      tokenMs: Math.max(...costs.map(({ tokenMs }) => tokenMs)),
      chunkMs: Math.max(...costs.map(({ chunkMs }) => chunkMs)),
      headMs: Math.max(...costs.map(({ headMs }) => headMs)),
    };
  }

  #costsOf(index: number): SliceCosts {
    this.#costs[index] ??= this.#makeCosts(index);
    return this.#costs[index];
  }

  #makeCosts(index: number): SliceCosts {
    const { model, machines, parameters, ranks } = this.#parts;
    const costs = layerCosts(model, machines.all[index]!, parameters, ranks);
    const allMs = (ofLayer: (layer: number) => number): number =>
      sumsAt([0, model.layers], ofLayer)[1]! + costs.stepMs;
    return { tokenMs: allMs(costs.decodeMs), chunkMs: allMs(costs.chunkMs), headMs: costs.headMs };
  }

  #slowestWay(order: readonly number[]): SlowestWay {
    let [delayMs, bytesPerMs, missing] = [0, Number.POSITIVE_INFINITY, 0];
    for (const way of this.#parts.network.needed(order)) {
      if (way === null) missing += 1;
      else {
        delayMs = Math.max(delayMs, way.delayMs);
        bytesPerMs = Math.min(bytesPerMs, way.bytesPerMs);
      }
    }
    return { delayMs, bytesPerMs, missing };
  }

  /** All sums of one step. @param rows of hidden states */
  #sumsMs(way: SlowestWay, rows: number): number {
    const { model, parameters } = this.#parts;
    const sumBytes = rows * model.hiddenSize * parameters.hiddenNumberBytes;
    return SUMS_PER_LAYER * model.layers * this.#sumMs(way, sumBytes);
  }

  /** The logits of one row, which are zero on each rank but for its own. */
  #logitsMs(way: SlowestWay): number {
    return this.#sumMs(way, this.#parts.model.overhead.logitsRowBytes);
  }

  /**
   * In a mesh every rank sends its part to each other. In a ring the parts travel: whole, by all others, or in as many
   * pieces as there are ranks, twice around, whichever is faster.
   */
  #sumMs({ delayMs, bytesPerMs }: SlowestWay, sumBytes: number): number {
    const { network, ranks } = this.#parts;
    const sizeMs = sumBytes / bytesPerMs;
    const others = ranks - 1;
    return network.transport === 'Mesh'
      ? delayMs + others * sizeMs
      : Math.min(others * (delayMs + sizeMs), 2 * others * (delayMs + sizeMs / ranks));
  }
}
