/**
 * What a model, or a range of its layers (R36), takes of a machine's memory. Weights and KV cache follow from the file
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
  /** Layers [first, end) of a shard. @default all */
  readonly layers?: { readonly first: number; readonly end: number };
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

/**
 * @throws ShoalError `model_unsupported` when the card has no shape; a `RangeError` for layers that are not there
 */
export function estimateMemory(card: ModelCard, wish: MemoryWish): MemoryEstimate {
  const { shape } = card;
  if (shape === null) {
    throw new ShoalError('model_unsupported', card.refusal ?? `${card.name} does not describe its network.`);
  }
  const { first, end } = wish.layers ?? { first: 0, end: shape.layers };
  if (!(first >= 0 && first < end && end <= shape.layers)) {
    throw new RangeError(`layers [${first}, ${end}) of a model with ${shape.layers}`);
  }
  const cells = roundUp(wish.cacheCells ?? wish.contextTokens * wish.sequences, CELL_MULTIPLE);
  const weightsBytes = weightsOf(shape, first, end);
  const cacheBytes =
    sum(shape.cache.cellBytes.slice(first, end)) * cells +
    sum(shape.cache.sequenceBytes.slice(first, end)) * wish.sequences;
  const overheadBytes = PROCESS_BYTES + computeBytes(shape, cells, wish, end === shape.layers);
  return { weightsBytes, cacheBytes, overheadBytes, totalBytes: weightsBytes + cacheBytes + overheadBytes };
}

/** The first shard has the embeddings, the last the output matrix, which may be the embeddings once more. */
function weightsOf({ weights, layers }: ModelShape, first: number, end: number): number {
  const embeddings = first === 0 ? weights.embeddingBytes : 0;
  const tiedHead = weights.isOutputTied && first > 0 ? weights.headBytes : 0;
  const output = end === layers ? weights.outputBytes + tiedHead : 0;
  return sum(weights.layerBytes.slice(first, end)) + embeddings + output + weights.commonBytes;
}

/**
 * Compute buffers of one step, in bytes. Parts of the graph that are not alive at the same time share their memory:
 * - activations: rows × (2 × hidden + the larger of 3 × feed-forward and 2 × (queries + keys)) × 4;
 * - or, where they are larger, the logits of the last shard: output rows × vocabulary × 4;
 * - logits for the caller: the same once more;
 * - attention mask in f16: rows × cells × 2; and a record for each cell.
 */
function computeBytes(shape: ModelShape, cells: number, wish: MemoryWish, isLast: boolean): number {
  const rows = wish.batchRows ?? ENGINE.batchRows;
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
