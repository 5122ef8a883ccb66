/** What a shard takes of its node's memory (R36): weights, KV cache and overhead of its layers, or of its slice. */
import type { ModelShape, ShardMemory } from './types.js';

/** How much the model is to remember. */
export interface CacheSize {
  readonly contextTokens: number;
  readonly sequences: number;
  readonly cacheCells: number;
}

/** Of the activations of a step, what is as wide as the hidden state: twice its rows. */
const LIVE_HIDDEN_STATES = 2;
const ROWS_IN_AND_SUMMED = 2;
/** What joining pieces of matrices leaves behind in a slice's process: 5 to 14 MB were measured. */
const JOINING_BYTES = 7 * 1024 * 1024;

/** Sums over the layers before each boundary, so that any range costs two look-ups. */
export class ShardSizes {
  readonly #model: ModelShape;
  readonly #size: CacheSize;
  readonly #cells: number;
  readonly #weights: Float64Array;
  readonly #cache: Float64Array;
  readonly #last: number;
  /** Of the first, of the last, of any other and of the last: without those of its layers. */
  readonly #firstBytes: number;
  readonly #lastBytes: number;
  readonly #overheadBytes: number;
  readonly #lastOverhead: number;

  /** @param boundaries ascending layers, from 0 to the end of the model; without any between, it is there as a whole */
  constructor(model: ModelShape, size: CacheSize, boundaries: readonly number[]) {
    this.#model = model;
    this.#size = size;
    const { cellMultiple, cellBytes, sequenceBytes } = model.cache;
    this.#cells = Math.ceil(size.cacheCells / cellMultiple) * cellMultiple;
    this.#last = boundaries.length - 1;
    const { embeddingBytes, firstShardBytes, outputBytes, tiedHeadBytes } = model.weights;
    const isWhole = this.#last === 1;
    const rowsBytes = isWhole ? 0 : model.overhead.passedRowsBytes;
    this.#firstBytes = isWhole ? embeddingBytes : firstShardBytes;
    this.#lastBytes = isWhole ? outputBytes : outputBytes + tiedHeadBytes;
    this.#overheadBytes = this.#overhead(false) + 2 * rowsBytes;
    this.#lastOverhead = this.#overhead(true) + rowsBytes;
    this.#weights = sumsAt(boundaries, (layer) => model.weights.layerBytes[layer] ?? 0);
    this.#cache = sumsAt(
      boundaries,
      (layer) => (cellBytes[layer] ?? 0) * this.#cells + (sequenceBytes[layer] ?? 0) * size.sequences,
    );
  }

  /** Layers between two boundaries, given by their numbers. */
  range(from: number, to: number): ShardMemory {
    const isLast = to === this.#last;
    const weightsBytes =
      this.#weights[to]! -
      this.#weights[from]! +
      (from === 0 ? this.#firstBytes : 0) +
      (isLast ? this.#lastBytes : 0) +
      this.#model.weights.commonBytes;
    const overheadBytes = isLast ? this.#lastOverhead : this.#overheadBytes;
    return total(weightsBytes, this.#cache[to]! - this.#cache[from]!, overheadBytes);
  }

  /** `range(from, to).totalBytes`, for the inner loops. */
  rangeBytes(from: number, to: number): number {
    const isLast = to === this.#last;
    let bytes = this.#weights[to]! - this.#weights[from]! + this.#cache[to]! - this.#cache[from]!;
    if (from === 0) bytes += this.#firstBytes;
    if (isLast) bytes += this.#lastBytes;
    return bytes + this.#model.weights.commonBytes + (isLast ? this.#lastOverhead : this.#overheadBytes);
  }

  /** Weights and cache of all layers. */
  get layersBytes(): number {
    return this.#weights[this.#last]! + this.#cache[this.#last]!;
  }

  /** Weights and cache of the layers before a boundary. */
  layersBefore(boundary: number): number {
    return this.#weights[boundary]! + this.#cache[boundary]!;
  }

  /** What no shard takes less than beside its layers, and all of them together have beside that. */
  get leastBesideLayers(): number {
    return this.#model.weights.commonBytes + Math.min(this.#overheadBytes, this.#lastOverhead);
  }

  get endsBytes(): number {
    return this.#firstBytes + this.#lastBytes;
  }

  /**
   * A slice: its share of all layers and of the head. Tokens are looked up in the file, rows go in and are added up whole;
   * rank 0 has all logits beside its own.
   */
  slice(rank: number, ranks: number): ShardMemory {
    const { outputBytes, tiedHeadBytes, commonBytes } = this.#model.weights;
    const { fixedBytes, activationBytes, logitsRowBytes, mostOutputRows, bytesPerCell, passedRowsBytes } =
      this.#model.overhead;
    const share = (bytes: number): number => Math.ceil(bytes / ranks);
    const weightsBytes = share(this.#weights[this.#last]! + outputBytes + tiedHeadBytes) + commonBytes;
    const logits = Math.min(this.#size.sequences, mostOutputRows) * logitsRowBytes;
    const wholeRows = LIVE_HIDDEN_STATES * passedRowsBytes;
    const activations = wholeRows + share(Math.max(0, activationBytes - wholeRows));
    const overheadBytes =
      fixedBytes +
      Math.max(activations, share(logits)) +
      share(logits) +
      (rank === 0 && ranks > 1 ? logits : 0) +
      ROWS_IN_AND_SUMMED * passedRowsBytes +
      JOINING_BYTES +
      this.#cells * bytesPerCell;
    return total(weightsBytes, share(this.#cache[this.#last]!), overheadBytes);
  }

  #overhead(isLast: boolean): number {
    const { fixedBytes, activationBytes, logitsRowBytes, mostOutputRows, bytesPerCell } =
      this.#model.overhead;
    const logits = isLast ? Math.min(this.#size.sequences, mostOutputRows) * logitsRowBytes : 0;
    return fixedBytes + Math.max(activationBytes, logits) + logits + this.#cells * bytesPerCell;
  }
}

/** `[boundaries]` sums of a number of each layer, over the layers before the boundary. */
export function sumsAt(boundaries: readonly number[], ofLayer: (layer: number) => number): Float64Array {
  const sums = new Float64Array(boundaries.length);
  for (let at = 1; at < boundaries.length; at += 1) {
    let sum = sums[at - 1]!;
    for (let layer = boundaries[at - 1]!; layer < boundaries[at]!; layer += 1) sum += ofLayer(layer);
    sums[at] = sum;
  }
  return sums;
}

function total(weightsBytes: number, cacheBytes: number, overheadBytes: number): ShardMemory {
  return { weightsBytes, cacheBytes, overheadBytes, totalBytes: weightsBytes + cacheBytes + overheadBytes };
}
