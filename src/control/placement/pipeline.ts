/**
 * A model as a pipeline: each machine computes a range of layers and passes hidden states on. A token passes all
 * stages one after the other and goes back to the first as a number; of a prompt, several chunks are under way at once,
 * so that the slowest stage sets the pace. One machine with the whole model is a pipeline of one.
 */
import type { LayerCuts } from '../../shared/modelDivision.js';
import type { CostParameters } from './costParameters.js';
import { type LayerCosts, layerCosts } from './layerCosts.js';
import { type Stage, splitLayers } from './layerSplit.js';
import { type Machines, sendMs } from './machines.js';
import type { Network } from './network.js';
import { type CacheSize, ShardSizes } from './shardMemory.js';
import { IMPOSSIBLE_MS, type Solution, type Strategy } from './strategy.js';
import type { ModelShape } from './types.js';

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
  /** `[machine]` what the layers before each boundary add to the time of a request, in ms. */
  readonly sumsMs: readonly Float64Array[];
  readonly chunkCount: number;
  /** `[from × machines + to]` a hidden state for each token and for a chunk, and the tokens back; made when first used. */
  #hopsMs: Float64Array | null = null;
  #returnsMs: Float64Array | null = null;
  readonly #refusedCounts: ReadonlySet<number>;

  /** @param cuts null for the model as a whole */
  constructor(parts: PipelineParts, cuts: (LayerCuts & { readonly canBeCut: true }) | null) {
    const { model, machines, parameters } = parts;
    this.parts = parts;
    this.boundaries = cuts === null ? [0, model.layers] : [0, ...cuts.cuts, cuts.layers];
    this.#refusedCounts = new Set(cuts?.refusedLayerCounts ?? []);
    this.costs = machines.all.map((machine) => layerCosts(model, machine, this.boundaries, parameters));
    this.sumsMs = this.costs.map(({ decodeMs, chunkMs }) =>
      decodeMs.map((tokenMs, at) => parameters.answerTokens * tokenMs + chunkMs[at]!),
    );
    this.chunkCount = Math.max(1, Math.ceil(parameters.promptTokens / parameters.chunkTokens));
  }

  ofSize(size: CacheSize): Pipeline {
    return new Pipeline(this, size);
  }

  /** Between these boundaries, given by their numbers. */
  readonly isLegal = (from: number, to: number): boolean =>
    this.#refusedCounts.size === 0 || !this.#refusedCounts.has(this.boundaries[to]! - this.boundaries[from]!);

  waysMs(order: readonly number[]): number {
    if (order.length < 2) return 0;
    const { answerTokens } = this.parts.parameters;
    this.#returnsMs ??= this.#forEachPair((from, to) => (answerTokens + 1) * this.returnMs(from, to));
    let ms = this.#returnsMs[order.at(-1)! * this.parts.machines.all.length + order[0]!]!;
    for (let rank = 1; rank < order.length; rank += 1) ms += this.pairMs(order[rank - 1]!, order[rank]!);
    if (this.parts.network.transport === 'Mesh') {
      ms += IMPOSSIBLE_MS * this.parts.network.needed(order).filter((way) => way === null).length;
    }
    return ms;
  }

  pairMs(from: number, to: number): number {
    const { answerTokens } = this.parts.parameters;
    this.#hopsMs ??= this.#forEachPair(
      (one, other) => answerTokens * this.hopMs(one, other) + this.chunkHopMs(one, other),
    );
    return this.#hopsMs[from * this.parts.machines.all.length + to]!;
  }

  #forEachPair(ms: (from: number, to: number) => number): Float64Array {
    const count = this.parts.machines.all.length;
    const pairs = new Float64Array(count ** 2);
    for (let at = 0; at < pairs.length; at += 1) pairs[at] = ms(Math.floor(at / count), at % count);
    return pairs;
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
  readonly #stages = new Map<number, Stage>();

  constructor(pipelines: Pipelines, size: CacheSize) {
    this.#pipelines = pipelines;
    this.#sizes = new ShardSizes(pipelines.parts.model, size, pipelines.boundaries);
    this.#capacities = pipelines.parts.machines.all.map((_, index) => this.#capacityOf(index));
  }

  boundMs(machines: readonly number[], reservedLayers = 0): number {
    let lacking = this.#sizes.layersBytes + this.#sizes.endsBytes;
    const reservedBytes =
      (reservedLayers * this.#sizes.layersBytes) / (this.#pipelines.boundaries.length - 1);
    for (const index of machines) lacking -= Math.max(0, this.#capacities[index]!.bytes - reservedBytes);
    if (lacking > 0) return IMPOSSIBLE_MS * (2 + lacking / this.#sizes.layersBytes);
    const capacities = machines.map((index) => this.#capacities[index]!);
    const requestMs = this.#fillMs(capacities, 'requestMsPerByte');
    const furtherChunks = this.#pipelines.chunkCount - 1;
    if (furtherChunks === 0) return requestMs;
    return requestMs + (furtherChunks * this.#fillMs(capacities, 'chunkMsPerByte')) / machines.length;
  }

  waysMs(order: readonly number[]): number {
    return this.#pipelines.waysMs(order);
  }

  paceMs(machine: number): number {
    return this.#capacities[machine]!.requestMsPerByte * this.#sizes.layersBytes;
  }

  pairMs(from: number, to: number): number {
    return this.#pipelines.pairMs(from, to);
  }

  solve(order: readonly number[], cutoffMs: number): Solution | null {
    const { parts, boundaries, chunkCount } = this.#pipelines;
    if (parts.network.needed(order).includes(null)) return null;
    const end = boundaries.length - 1;
    const slowestLinkMs = this.#slowestLinkMs(order);
    const split = splitLayers({
      stages: order.map((machine) => this.#stage(machine)),
      end,
      isLegal: this.#pipelines.isLegal,
      furtherChunks: chunkCount - 1,
      leastSlowestMs: slowestLinkMs,
      cutoffMs: cutoffMs - this.waysMs(order),
    });
    if (split === null) return null;
    const backMs = order.length > 1 ? this.#pipelines.returnMs(order.at(-1)!, order[0]!) : 0;
    let tokenMs = backMs;
    let firstTokenMs = backMs;
    let slowestMs = slowestLinkMs;
    order.forEach((machine, rank) => {
      const [from, to] = [split[rank]!, split[rank + 1]!];
      const { decodeMs, chunkMs, headMs, stepMs } = this.#pipelines.costs[machine]!;
      const besideMs = stepMs + (to === end ? headMs : 0);
      const stageMs = chunkMs[to]! - chunkMs[from]! + besideMs;
      tokenMs += decodeMs[to]! - decodeMs[from]! + besideMs;
      firstTokenMs += stageMs;
      slowestMs = Math.max(slowestMs, stageMs);
      if (rank === 0) return;
      tokenMs += this.#pipelines.hopMs(order[rank - 1]!, machine);
      firstTokenMs += this.#pipelines.chunkHopMs(order[rank - 1]!, machine);
    });
    firstTokenMs += (chunkCount - 1) * slowestMs;
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

  /** Sending one chunk over the slowest link while the next is computed. */
  #slowestLinkMs(order: readonly number[]): number {
    const { chunkBytes, parts } = this.#pipelines;
    let slowestMs = 0;
    for (let rank = 1; rank < order.length; rank += 1) {
      const way = parts.network.way(order[rank - 1]!, order[rank]!)!;
      slowestMs = Math.max(slowestMs, chunkBytes / way.bytesPerMs);
    }
    return slowestMs;
  }

  #stage(machine: number): Stage {
    const known = this.#stages.get(machine);
    if (known !== undefined) return known;
    const { costs, sumsMs, parts, boundaries } = this.#pipelines;
    const { chunkMs, headMs, stepMs } = costs[machine]!;
    const { freeBytes } = parts.machines.all[machine]!;
    const end = boundaries.length - 1;
    const steps = parts.parameters.answerTokens + 1;
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
    const stage = {
      sumMs: sumsMs[machine]!,
      chunkMs,
      besideSumMs: steps * stepMs,
      besideChunkMs: stepMs,
      headSumMs: steps * headMs,
      headChunkMs: headMs,
      farthest,
      reachesEnd,
    };
    this.#stages.set(machine, stage);
    return stage;
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
  #fillMs(capacities: Capacity[], rate: 'requestMsPerByte' | 'chunkMsPerByte'): number {
    capacities.sort((a, b) => a[rate] - b[rate]);
    let missing = this.#sizes.layersBytes;
    let ms = 0;
    for (const capacity of capacities) {
      const bytes = Math.min(missing, capacity.bytes);
      ms += bytes * capacity[rate];
      missing -= bytes;
    }
    return ms;
  }
}
