/** What a pipeline over some machines takes at the least, in whatever order, found without dividing any layers. */
import { LIMIT_TOLERANCE, searchLimits, type Tried } from './limitSearch.js';
import type { PipelineCosts } from './pipelineCosts.js';
import type { ShardSizes } from './shardMemory.js';
import { IMPOSSIBLE_MS } from './strategy.js';

/** What a machine can hold of the layers, and what that costs at the least. */
interface Capacity {
  readonly bytes: number;
  /** Of them, what whole layers can take. */
  readonly wholeBytes: number;
  /** Of a byte of the layers, in ms. */
  readonly requestMsPerByte: number;
  readonly chunkMsPerByte: number;
  /** Of a shard, whatever its layers, and of the head besides. */
  readonly besideMs: number;
  readonly besideChunkMs: number;
  readonly headMs: number;
}

type Rate = 'requestMsPerByte' | 'chunkMsPerByte';

/** Where bytes are divided by bytes, so that a layer that just fits is not lost. */
const ROUNDING = 1e-9;

export class PipelineBounds {
  readonly #costs: PipelineCosts;
  readonly #sizes: ShardSizes;
  readonly #capacities: readonly Capacity[];
  /** Of the smallest and of the largest piece between two boundaries. */
  readonly #leastBytes: number;
  readonly #mostBytes: number;
  /** Machines by each rate, the fastest first, and which of them are looked at. */
  readonly #fastest: Readonly<Record<Rate, readonly number[]>>;
  readonly #isMember: Uint8Array;

  constructor(costs: PipelineCosts, sizes: ShardSizes) {
    this.#costs = costs;
    this.#sizes = sizes;
    const pieces = costs.pieces.map((at) => this.#pieceBytes(at));
    this.#leastBytes = Math.min(...pieces);
    this.#mostBytes = Math.max(...pieces);
    this.#capacities = costs.parts.machines.all.map((_, index) => this.#capacityOf(index));
    const by = (rate: Rate): number[] =>
      this.#capacities
        .map((_, index) => index)
        .sort((a, b) => this.#capacities[a]![rate] - this.#capacities[b]![rate]);
    this.#fastest = { requestMsPerByte: by('requestMsPerByte'), chunkMsPerByte: by('chunkMsPerByte') };
    this.#isMember = new Uint8Array(this.#capacities.length);
  }

  /** @returns as `Strategy.boundMs` */
  requestMs(machines: readonly number[]): number {
    const { layersBytes, endsBytes } = this.#sizes;
    let lackingBytes = layersBytes + endsBytes;
    let lackingWhole = layersBytes * (1 - ROUNDING);
    let besideMs = 0;
    let headMs = Number.POSITIVE_INFINITY;
    for (const index of machines) {
      const capacity = this.#capacities[index]!;
      lackingBytes -= capacity.bytes;
      lackingWhole -= capacity.wholeBytes;
      besideMs += capacity.besideMs;
      headMs = Math.min(headMs, capacity.headMs);
      if (capacity.wholeBytes === 0) lackingWhole += layersBytes;
    }
    const lacking = Math.max(lackingBytes, lackingWhole);
    if (lacking > 0) return IMPOSSIBLE_MS * (2 + lacking / layersBytes);
    const furtherChunks = this.#costs.chunkCount - 1;
    const slowestMs = furtherChunks === 0 ? 0 : this.slowestChunkMs(machines);
    return this.#fillMs(machines, 'requestMsPerByte') + besideMs + headMs + furtherChunks * slowestMs;
  }

  /**
   * A bound much nearer to what they take: layers as they would be divided if the order did not matter, so that each is
   * as fast as the slowest chunk allows. Exact but for the ends of the model where all layers are alike.
   */
  closeRequestMs(machines: readonly number[], cutoffMs: number): number {
    let besideMs = 0;
    let headMs = Number.POSITIVE_INFINITY;
    for (const index of machines) {
      const capacity = this.#capacities[index]!;
      besideMs += capacity.besideMs;
      headMs = Math.min(headMs, capacity.headMs);
    }
    const times = this.#costs.chunkCount - 1;
    const leastSlowestMs = this.slowestChunkMs(machines);
    const fixedMs = besideMs + headMs;
    const best = searchLimits({ times, leastSlowestMs, cutoffMs: cutoffMs - fixedMs }, (limitMs) =>
      this.#fill(machines, 'requestMsPerByte', limitMs),
    );
    return best === null ? cutoffMs : (best.ms + fixedMs) * (1 - LIMIT_TOLERANCE);
  }

  /** What a request loses because the last of these computes the head, and not the one that does it fastest. */
  headBeyondLeastMs(order: readonly number[]): number {
    const lastMs = this.#capacities[order.at(-1)!]!.headMs;
    let leastMs = lastMs;
    for (const index of order) leastMs = Math.min(leastMs, this.#capacities[index]!.headMs);
    return lastMs - leastMs;
  }

  /** Of the stages of these machines, the slowest one's chunk: not less than the mean where each does its best. */
  slowestChunkMs(machines: readonly number[]): number {
    let besideMs = 0;
    for (const index of machines) besideMs += this.#capacities[index]!.besideChunkMs;
    return (this.#fillMs(machines, 'chunkMsPerByte') + besideMs) / machines.length;
  }

  /** Of a request, for all layers. */
  paceMs(machine: number): number {
    return this.#capacities[machine]!.requestMsPerByte * this.#sizes.layersBytes;
  }

  #fillMs(machines: readonly number[], rate: Rate): number {
    return this.#fill(machines, rate, Number.POSITIVE_INFINITY)?.sumMs ?? IMPOSSIBLE_MS;
  }

  /**
   * A layer for each, and the others on the machines that take them at the least cost, as if they could be cut anywhere.
   * @param limitMs no machine's chunk takes longer
   * @returns null when the limit leaves no room for all layers
   */
  #fill(machines: readonly number[], rate: Rate, limitMs: number): Tried | null {
    let missing = this.#sizes.layersBytes - machines.length * this.#leastBytes;
    let sumMs = 0;
    let slowestMs = 0;
    let left = machines.length;
    for (const index of machines) this.#isMember[index] = 1;
    for (const index of this.#fastest[rate]) {
      if (this.#isMember[index] === 0) continue;
      this.#isMember[index] = 0;
      const capacity = this.#capacities[index]!;
      const { besideChunkMs, chunkMsPerByte, wholeBytes } = capacity;
      const mostBytes = Math.min(wholeBytes, this.#whole((limitMs - besideChunkMs) / chunkMsPerByte));
      if (mostBytes < this.#leastBytes) missing = Number.POSITIVE_INFINITY;
      const bytes = this.#leastBytes + Math.max(0, Math.min(missing, mostBytes - this.#leastBytes));
      sumMs += bytes * capacity[rate];
      slowestMs = Math.max(slowestMs, bytes * chunkMsPerByte + besideChunkMs);
      missing -= bytes - this.#leastBytes;
      left -= 1;
      if (left === 0) break;
    }
    return missing > ROUNDING * this.#sizes.layersBytes ? null : { sumMs, slowestMs };
  }

  /** What whole layers take of so many bytes, where all are alike. */
  #whole(bytes: number): number {
    const isUniform = this.#mostBytes - this.#leastBytes <= ROUNDING * this.#mostBytes;
    if (!isUniform || bytes === Number.POSITIVE_INFINITY) return bytes;
    return Math.floor((bytes / this.#leastBytes) * (1 + ROUNDING)) * this.#leastBytes;
  }

  #capacityOf(index: number): Capacity {
    const { parts, pieces } = this.#costs;
    const { request, chunk } = this.#costs.pieceCosts(index);
    let requestMsPerByte = Number.POSITIVE_INFINITY;
    let chunkMsPerByte = Number.POSITIVE_INFINITY;
    for (let at = 0; at < pieces.length; at += 1) {
      const pieceBytes = this.#pieceBytes(pieces[at]!);
      requestMsPerByte = Math.min(requestMsPerByte, request.piecesMs[at]! / pieceBytes);
      chunkMsPerByte = Math.min(chunkMsPerByte, chunk.piecesMs[at]! / pieceBytes);
    }
    const bytes = Math.max(0, parts.machines.all[index]!.freeBytes - this.#sizes.leastBesideLayers);
    const wholeBytes = this.#whole(bytes);
    const { besideMs, headMs } = request;
    const besideChunkMs = chunk.besideMs;
    return { bytes, wholeBytes, requestMsPerByte, chunkMsPerByte, besideMs, besideChunkMs, headMs };
  }

  /** Between the boundary before and this one. */
  #pieceBytes(boundary: number): number {
    return Math.max(1, this.#sizes.layersBefore(boundary) - this.#sizes.layersBefore(boundary - 1));
  }
}
