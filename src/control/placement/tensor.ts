/**
 * A model as slices: every machine computes an equal part of each layer, and their partial sums are added up twice a
 * layer over the network. The slowest machine and the slowest link set the pace. The head is divided too: the logits of a
 * token are one sum more.
 */
import type { CostParameters } from './costParameters.js';
import { type LayerCosts, layerCosts } from './layerCosts.js';
import type { Machines } from './machines.js';
import type { Network } from './network.js';
import { type CacheSize, ShardSizes } from './shardMemory.js';
import { IMPOSSIBLE_MS, type Solution, type Strategy } from './strategy.js';
import type { ModelShape } from './types.js';

const SUMS_PER_LAYER = 2;

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
  readonly #sizes: ShardSizes;
  readonly #costs: readonly LayerCosts[];
  readonly #chunkTokens: number;
  readonly #chunkCount: number;

  constructor(parts: TensorParts) {
    const { model, machines, parameters, ranks, size } = parts;
    const boundaries = [0, model.layers];
    this.#parts = parts;
    this.#sizes = new ShardSizes(model, size, boundaries);
    this.#costs = machines.all.map((machine) => layerCosts(model, machine, boundaries, parameters, ranks));
    this.#chunkTokens = Math.min(parameters.chunkTokens, parameters.promptTokens);
    this.#chunkCount = Math.max(1, Math.ceil(parameters.promptTokens / parameters.chunkTokens));
  }

  boundMs(machines: readonly number[]): number {
    const { ranks, machines: all, parameters } = this.#parts;
    const slice = this.#sizes.slice(1, ranks);
    const lacking = machines.filter((index) => !all.fits(index, slice)).length;
    const canLead = machines.some((index) => all.fits(index, this.#sizes.slice(0, ranks)));
    if (lacking > 0 || !canLead) return IMPOSSIBLE_MS * (2 + lacking);
    const slowest = (ms: (costs: LayerCosts) => number): number =>
      Math.max(...machines.map((index) => ms(this.#costs[index]!)));
    const head = slowest((costs) => costs.headMs);
    const tokenMs = slowest((costs) => costs.decodeMs[1]! + costs.stepMs) + head;
    const chunkMs = slowest((costs) => costs.chunkMs[1]! + costs.stepMs);
    return parameters.answerTokens * tokenMs + this.#chunkCount * chunkMs + head;
  }

  waysMs(order: readonly number[]): number {
    const { answerTokens } = this.#parts.parameters;
    return (
      answerTokens * (this.#sumsMs(order, 1) + this.#logitsMs(order)) +
      this.#chunkCount * this.#sumsMs(order, this.#chunkTokens) +
      this.#logitsMs(order)
    );
  }

  paceMs(machine: number): number {
    const { decodeMs, chunkMs } = this.#costs[machine]!;
    return this.#parts.parameters.answerTokens * decodeMs[1]! + this.#chunkCount * chunkMs[1]!;
  }

  pairMs(from: number, to: number): number {
    return this.waysMs([from, to]);
  }

  solve(order: readonly number[], cutoffMs: number): Solution | null {
    const { ranks, machines, network, parameters, model } = this.#parts;
    const shards = order.map((_, rank) => ({
      startLayer: 0,
      endLayer: model.layers,
      memory: this.#sizes.slice(rank, ranks),
    }));
    if (!order.every((index, rank) => machines.fits(index, shards[rank]!.memory))) return null;
    if (network.needed(order).includes(null)) return null;
    const slowest = (ms: (costs: LayerCosts) => number): number =>
      Math.max(...order.map((index) => ms(this.#costs[index]!)));
    const headMs = slowest((costs) => costs.headMs) + this.#logitsMs(order);
    const tokenMs = slowest((costs) => costs.decodeMs[1]! + costs.stepMs) + headMs + this.#sumsMs(order, 1);
    const chunkMs =
      slowest((costs) => costs.chunkMs[1]! + costs.stepMs) + this.#sumsMs(order, this.#chunkTokens);
    const firstTokenMs = this.#chunkCount * chunkMs + headMs;
    const requestMs = firstTokenMs + parameters.answerTokens * tokenMs;
    return requestMs < cutoffMs ? { order, shards, tokenMs, firstTokenMs, requestMs } : null;
  }

  /** All sums of one step. @param rows of hidden states */
  #sumsMs(order: readonly number[], rows: number): number {
    const { model, parameters } = this.#parts;
    const sumBytes = rows * model.hiddenSize * parameters.hiddenNumberBytes;
    return SUMS_PER_LAYER * model.layers * this.#sumMs(order, sumBytes);
  }

  /** The logits of one row, which are zero on each rank but for its own. */
  #logitsMs(order: readonly number[]): number {
    return this.#sumMs(order, this.#parts.model.overhead.logitsRowBytes);
  }

  /**
   * In a mesh every rank sends its part to each other. In a ring the parts travel: whole, by all others, or in as many
   * pieces as there are ranks, twice around, whichever is faster.
   */
  #sumMs(order: readonly number[], sumBytes: number): number {
    const { network, ranks } = this.#parts;
    const needed = network.needed(order);
    const ways = needed.filter((way) => way !== null);
    if (ways.length < needed.length) return IMPOSSIBLE_MS * (needed.length - ways.length);
    const delayMs = Math.max(...ways.map((way) => way.delayMs));
    const sizeMs = sumBytes / Math.min(...ways.map((way) => way.bytesPerMs));
    const others = ranks - 1;
    return network.transport === 'Mesh'
      ? delayMs + others * sizeMs
      : Math.min(others * (delayMs + sizeMs), 2 * others * (delayMs + sizeMs / ranks));
  }
}
