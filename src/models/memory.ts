/**
 * What a model, or a shard of it (R36), takes of a machine's memory. Weights and KV cache follow from the file
 * (`weights.ts`, `cacheShape.ts`); compute buffers follow a formula that was fitted to what the engine takes on a CPU
 * with flash attention. The engine reports the real numbers once a model is loaded.
 *
 * Weights count once. On x86, q4_0, q4_K and their kin are copied into another layout while the mapped file stays
 * resident until the system needs its pages: a process then seems to have them twice.
 */
import { ShoalError } from '../shared/errors.js';
import { ENGINE } from '../shared/limits.js';
import type { ModelCard, ModelShape } from './card.js';
import type { MemoryEstimate } from './listing.js';

export interface MemoryWish {
  /** Context of one sequence. */
  readonly contextTokens: number;
  readonly sequences: number;
  /** @default as many as all sequences can use: `contextTokens × sequences` */
  readonly cacheCells?: number;
  /** Rows of one step. @default ENGINE.batchRows */
  readonly batchRows?: number;
  /** Rows of one step that give logits. @default `sequences` */
  readonly outputRows?: number;
}

/** Layers [startLayer, endLayer) of a model. */
export interface ShardLayers {
  readonly startLayer: number;
  readonly endLayer: number;
}

const F32_BYTES = 4;
const F16_BYTES = 2;
/** llama.cpp rounds the number of cells up to a multiple of this. */
const CELL_MULTIPLE = 256;
const MEBIBYTE = 1024 * 1024;

/** Node.js, the engine's libraries, and what llama.cpp takes for any context: graphs, arenas, threads. */
const PROCESS_BYTES = 56 * MEBIBYTE;
const CONTEXT_BYTES = 24 * MEBIBYTE;
/** Book-keeping of one KV cell. */
const CELL_RECORD_BYTES = 50;

/** Buffers of one row that are alive at the same time, in units of their width. */
const LIVE_HIDDEN_STATES = 2;
const LIVE_FEED_FORWARD = 3;
const LIVE_ATTENTION = 2;

/** @throws ShoalError `model_unsupported` when the card has no shape */
export function estimateMemory(card: ModelCard, wish: MemoryWish): MemoryEstimate {
  const shape = shapeOf(card);
  const { weights, layers } = shape;
  const { outputBytes, embeddingBytes, commonBytes } = weights;
  const weightsBytes = sum(weights.layerBytes) + embeddingBytes + outputBytes + commonBytes;
  return estimate(shape, { startLayer: 0, endLayer: layers }, wish, {
    weightsBytes,
    computeBytes: (cells) => computeBytes(shape, cells, wish, true),
  });
}

/**
 * What one shard of a pipeline takes, in a process of its own.
 * @throws ShoalError `model_unsupported` when the card has no shape; a `RangeError` for layers that are not there
 */
export function estimateShardMemory(card: ModelCard, range: ShardLayers, wish: MemoryWish): MemoryEstimate {
  const shape = shapeOf(card);
  const { startLayer, endLayer } = range;
  if (!(startLayer >= 0 && startLayer < endLayer && endLayer <= shape.layers)) {
    throw new RangeError(`layers [${startLayer}, ${endLayer}) of a model with ${shape.layers}`);
  }
  const isLast = endLayer === generatingLayers(shape);
  return estimate(shape, range, wish, {
    weightsBytes: shardWeights(shape, range, isLast),
    computeBytes: (cells) => computeBytes(shape, cells, wish, isLast) + rowBytes(shape, wish, isLast),
  });
}

function shapeOf(card: ModelCard): ModelShape {
  if (card.shape !== null) return card.shape;
  throw new ShoalError('model_unsupported', card.refusal ?? `${card.name} does not describe its network.`);
}

/** Without those at the end that only draft further tokens: the last shard ends before them. */
function generatingLayers({ legalCuts, layers }: ModelShape): number {
  return legalCuts.canBeCut ? legalCuts.layers : layers;
}

interface Parts {
  readonly weightsBytes: number;
  computeBytes(cells: number): number;
}

function estimate(shape: ModelShape, range: ShardLayers, wish: MemoryWish, parts: Parts): MemoryEstimate {
  const { startLayer, endLayer } = range;
  const cells = roundUp(wish.cacheCells ?? wish.contextTokens * wish.sequences, CELL_MULTIPLE);
  const cacheBytes =
    sum(shape.cache.cellBytes.slice(startLayer, endLayer)) * cells +
    sum(shape.cache.sequenceBytes.slice(startLayer, endLayer)) * wish.sequences;
  const overheadBytes = PROCESS_BYTES + parts.computeBytes(cells);
  const { weightsBytes } = parts;
  return { weightsBytes, cacheBytes, overheadBytes, totalBytes: weightsBytes + cacheBytes + overheadBytes };
}

/** The last shard has the head, which may be the token embeddings; the first looks tokens up in the file. */
function shardWeights({ weights }: ModelShape, range: ShardLayers, isLast: boolean): number {
  const { startLayer, endLayer } = range;
  const positions = startLayer === 0 ? weights.embeddingBytes - weights.tokenEmbeddingBytes : 0;
  const head = isLast ? weights.outputBytes + (weights.isOutputTied ? weights.headBytes : 0) : 0;
  return sum(weights.layerBytes.slice(startLayer, endLayer)) + positions + head + weights.commonBytes;
}

/** Rows that go in, and rows that are taken out for the next shard. */
function rowBytes(shape: ModelShape, wish: MemoryWish, isLast: boolean): number {
  return rowsOf(wish) * shape.hiddenSize * F32_BYTES * (isLast ? 1 : 2);
}

function rowsOf(wish: MemoryWish): number {
  return wish.batchRows ?? ENGINE.batchRows;
}

/**
 * Compute buffers of one step, in bytes. Parts of the graph that are not alive at the same time share their memory:
 * - activations: rows × (2 × hidden + the larger of 3 × feed-forward and 2 × (queries + keys)) × 4;
 * - or, where they are larger, the logits of the last shard: output rows × vocabulary × 4;
 * - logits for the caller: the same once more;
 * - attention mask in f16: rows × cells × 2; and a record for each cell.
 */
function computeBytes(shape: ModelShape, cells: number, wish: MemoryWish, isLast: boolean): number {
  const rows = rowsOf(wish);
  const outputRows = Math.min(rows, wish.outputRows ?? wish.sequences);
  const attentionWidth = (Math.max(...shape.heads) + Math.max(...shape.keyValueHeads)) * shape.keyLength;
  const rowWidth =
    LIVE_HIDDEN_STATES * shape.hiddenSize +
    Math.max(LIVE_FEED_FORWARD * shape.feedForwardLength, LIVE_ATTENTION * attentionWidth);
  const activations = rows * rowWidth * F32_BYTES;
  const logits = isLast ? outputRows * shape.vocabularySize * F32_BYTES : 0;
  const mask = rows * cells * F16_BYTES + cells * CELL_RECORD_BYTES;
  return CONTEXT_BYTES + Math.max(activations, logits) + logits + mask;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
