/**
 * A model as a pipeline: each machine computes a range of layers and passes hidden states on. A token passes all
 * stages one after the other and goes back to the first as a number; of a prompt, several chunks are under way at once,
 * so that the slowest stage sets the pace. One machine with the whole model is a pipeline of one.
 */
import type { CostParameters } from './costParameters.js';
import { type LayerCosts, layerCosts } from './layerCosts.js';
import { splitLayers } from './layerSplit.js';
import { type Machines, sendMs } from './machines.js';
import type { Network } from './network.js';
import { type CacheSize, ShardSizes } from './shardMemory.js';
import { IMPOSSIBLE_MS, type Solution, type Strategy } from './strategy.js';
import type { LayerCuts, ModelShape } from './types.js';

interface PipelineParts {
  readonly model: ModelShape;
  readonly machines: Machines;
  readonly network: Network;
  readonly parameters: CostParameters;
}

/** What does not depend on the size of the cache. */
export class Pipelines {
  readonly parts: PipelineParts;
  /** Layers at which shards may begin or end. */
  readonly boundaries: readonly number[];
  readonly costs: readonly LayerCosts[];
  readonly chunkCount: number;
  readonly #hopMs: Float64Array;
  readonly #returnMs: Float64Array;
  readonly #refusedCounts: ReadonlySet<number>;

  /** @param cuts null for the model as a whole */
  constructor(parts: PipelineParts, cuts: (LayerCuts & { readonly canBeCut: true }) | null) {
    const { model, machines, parameters } = parts;
    this.parts = parts;
    this.boundaries = cuts === null ? [0, model.layers] : [0, ...cuts.cuts, cuts.layers];
    this.#refusedCounts = new Set(cuts?.refusedLayerCounts ?? []);
    this.costs = machines.all.map((machine) => layerCosts(model, machine, this.boundaries, parameters));
    this.chunkCount = Math.max(1, Math.ceil(parameters.promptTokens / parameters.chunkTokens));
    const ways = (ms: (from: number, to: number) => number): Float64Array => {
      const count = machines.all.length;
      return Float64Array.from({ length: cuts === null ? 0 : count ** 2 }, (_, at) =>
        ms(Math.floor(at / count), at % count),
      );
    };
    const { answerTokens } = parameters;
    this.#hopMs = ways((from, to) => answerTokens * this.hopMs(from, to) + this.chunkHopMs(from, to));
    this.#returnMs = ways((from, to) => (answerTokens + 1) * this.returnMs(from, to));
  }

  ofSize(size: CacheSize): Pipeline {
    return new Pipeline(this, size);
  }

  isLegal(from: number, to: number): boolean {
    return !this.#refusedCounts.has(this.boundaries[to]! - this.boundaries[from]!);
  }

  waysMs(order: readonly number[]): number {
    if (order.length < 2) return 0;
    const count = this.parts.machines.all.length;
    let ms = this.#returnMs[order.at(-1)! * count + order[0]!]!;
    for (let rank = 1; rank < order.length; rank += 1)
      ms += this.#hopMs[order[rank - 1]! * count + order[rank]!]!;
    if (this.parts.network.transport === 'Mesh') {
      ms += IMPOSSIBLE_MS * this.parts.network.needed(order).filter((way) => way === null).length;
    }
    return ms;
  }

  /** A token's hidden state to the next stage. */
  hopMs(from: number, to: number): number {
    return this.#sendMs(from, to, this.#hiddenBytes);
  }

  /** A prefill chunk's hidden states to the next stage. */
  chunkHopMs(from: number, to: number): number {
    return this.#sendMs(from, to, this.chunkBytes);
  }

  /** A drawn token to the first stage. */
  returnMs(from: number, to: number): number {
    return this.#sendMs(from, to, this.parts.parameters.tokenMessageBytes);
  }

  get chunkBytes(): number {
    const { chunkTokens, promptTokens } = this.parts.parameters;
    return Math.min(chunkTokens, promptTokens) * this.#hiddenBytes;
  }

  get #hiddenBytes(): number {
    return this.parts.model.hiddenSize * this.parts.parameters.hiddenNumberBytes;
  }

  #sendMs(from: number, to: number, sizeBytes: number): number {
    const way = this.parts.network.way(from, to);
    return way === null ? IMPOSSIBLE_MS : sendMs(way, sizeBytes);
  }
}

/** What a machine can hold of the layers, and what that costs at the least. */
interface Capacity {
  readonly bytes: number;
  /** Of a byte of the layers, in ms. */
  readonly requestMsPerByte: number;
  readonly chunkMsPerByte: number;
}

class Pipeline implements Strategy {
  readonly #pipelines: Pipelines;
  readonly #sizes: ShardSizes;
  readonly #capacities: readonly Capacity[];

  constructor(pipelines: Pipelines, size: CacheSize) {
    this.#pipelines = pipelines;
    this.#sizes = new ShardSizes(pipelines.parts.model, size, pipelines.boundaries);
    this.#capacities = pipelines.parts.machines.all.map((_, index) => this.#capacityOf(index));
  }

  boundMs(machines: readonly number[]): number {
    const { embeddingBytes, outputBytes, tiedHeadBytes } = this.#pipelines.parts.model.weights;
    const besideBytes = embeddingBytes + outputBytes + (machines.length > 1 ? tiedHeadBytes : 0);
    const capacities = machines.map((index) => this.#capacities[index]!);
    const lacking =
      this.#sizes.layersBytes + besideBytes - capacities.reduce((sum, { bytes }) => sum + bytes, 0);
    if (lacking > 0) return IMPOSSIBLE_MS * (2 + lacking / this.#sizes.layersBytes);
    const requestMs = this.#fillMs(capacities, (capacity) => capacity.requestMsPerByte);
    const chunkMs = this.#fillMs(capacities, (capacity) => capacity.chunkMsPerByte);
    return requestMs + ((this.#pipelines.chunkCount - 1) * chunkMs) / machines.length;
  }

  waysMs(order: readonly number[]): number {
    return this.#pipelines.waysMs(order);
  }

  solve(order: readonly number[]): Solution | null {
    const { parts, boundaries, chunkCount } = this.#pipelines;
    if (parts.network.needed(order).includes(null)) return null;
    const end = boundaries.length - 1;
    const linkMs = (rank: number): number =>
      this.#pipelines.chunkBytes / parts.network.way(order[rank - 1]!, order[rank]!)!.bytesPerMs;
    const leastSlowestMs = Math.max(0, ...order.slice(1).map((_, index) => linkMs(index + 1)));
    const stages = order.map((machine) => this.#stage(machine, end));
    const split = splitLayers({
      stages,
      end,
      isLegal: (from, to) => this.#pipelines.isLegal(from, to),
      answerTokens: parts.parameters.answerTokens,
      furtherChunks: chunkCount - 1,
      leastSlowestMs,
    });
    if (split === null) return null;
    let tokenMs = 0;
    let firstTokenMs = 0;
    let slowestMs = leastSlowestMs;
    stages.forEach((stage, rank) => {
      const chunkMs = stage.chunkMs(split[rank]!, split[rank + 1]!);
      tokenMs += stage.decodeMs(split[rank]!, split[rank + 1]!);
      firstTokenMs += chunkMs;
      slowestMs = Math.max(slowestMs, chunkMs);
      if (rank === 0) return;
      tokenMs += this.#pipelines.hopMs(order[rank - 1]!, order[rank]!);
      firstTokenMs += this.#pipelines.chunkHopMs(order[rank - 1]!, order[rank]!);
    });
    const backMs = order.length > 1 ? this.#pipelines.returnMs(order.at(-1)!, order[0]!) : 0;
    tokenMs += backMs;
    firstTokenMs += backMs + (chunkCount - 1) * slowestMs;
    return {
      order,
      shards: order.map((_, rank) => ({
        startLayer: boundaries[split[rank]!]!,
        endLayer: boundaries[split[rank + 1]!]!,
        memory: this.#sizes.range(split[rank]!, split[rank + 1]!),
      })),
      tokenMs,
      firstTokenMs,
      requestMs: firstTokenMs + parts.parameters.answerTokens * tokenMs,
    };
  }

  #stage(machine: number, end: number) {
    const { decodeMs, chunkMs, headMs, stepMs } = this.#pipelines.costs[machine]!;
    const { freeBytes } = this.#pipelines.parts.machines.all[machine]!;
    const beside = (to: number): number => stepMs + (to === end ? headMs : 0);
    return {
      decodeMs: (from: number, to: number) => decodeMs[to]! - decodeMs[from]! + beside(to),
      chunkMs: (from: number, to: number) => chunkMs[to]! - chunkMs[from]! + beside(to),
      fits: (from: number, to: number) => this.#sizes.rangeBytes(from, to) <= freeBytes,
    };
  }

  #capacityOf(index: number): Capacity {
    const { parts, boundaries, costs } = this.#pipelines;
    const { decodeMs, chunkMs } = costs[index]!;
    let requestMsPerByte = Number.POSITIVE_INFINITY;
    let chunkMsPerByte = Number.POSITIVE_INFINITY;
    for (let at = 1; at < boundaries.length; at += 1) {
      const bytes = Math.max(1, this.#sizes.layersBefore(at) - this.#sizes.layersBefore(at - 1));
      const partMs = chunkMs[at]! - chunkMs[at - 1]!;
      const tokenMs = decodeMs[at]! - decodeMs[at - 1]!;
      requestMsPerByte = Math.min(
        requestMsPerByte,
        (parts.parameters.answerTokens * tokenMs + partMs) / bytes,
      );
      chunkMsPerByte = Math.min(chunkMsPerByte, partMs / bytes);
    }
    const bytes = Math.max(0, parts.machines.all[index]!.freeBytes - this.#sizes.leastBesideLayers);
    return { bytes, requestMsPerByte, chunkMsPerByte };
  }

  /** The layers on the machines that take them at the least cost, as if they could be cut anywhere. */
  #fillMs(capacities: readonly Capacity[], msPerByte: (capacity: Capacity) => number): number {
    let missing = this.#sizes.layersBytes;
    let ms = 0;
    for (const capacity of [...capacities].sort((a, b) => msPerByte(a) - msPerByte(b))) {
      const bytes = Math.min(missing, capacity.bytes);
      ms += bytes * msPerByte(capacity);
      missing -= bytes;
    }
    return ms;
  }
}
