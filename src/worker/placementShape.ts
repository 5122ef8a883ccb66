/** A model's card as placement wants it: the numbers of `estimateMemory`, taken apart. Pure. */
import type { ModelShape } from '../control/placement/types.js';
import type { ModelCard, ModelShape as NetworkShape } from '../models/card.js';
import { estimateMemory } from '../models/memory.js';
import { legalCuts } from '../models/sharding/legalCuts.js';
import { tensorSlices } from '../models/sharding/tensorSlices.js';
import { ShoalError } from '../shared/errors.js';
import type { ModelId } from '../shared/ids.js';
import { ENGINE } from '../shared/limits.js';

/** KV cells are rounded up to a multiple of this by llama.cpp. */
const CELL_MULTIPLE = 256;
const F32_BYTES = 4;
const OPERATIONS_PER_WEIGHT = 2;

/**
 * @throws {ShoalError} `model_unsupported` when the card has no shape
 */
export function placementShape(modelId: ModelId, card: ModelCard): ModelShape {
  const { shape } = card;
  if (shape === null) {
    throw new ShoalError('model_unsupported', card.refusal ?? `${card.name} does not describe its network.`);
  }
  const { weights, cache } = shape;
  const allBytes =
    weights.layerBytes.reduce((sum, bytes) => sum + bytes, 0) + weights.embeddingBytes + weights.outputBytes;
  const operationsPerByte = (OPERATIONS_PER_WEIGHT * card.parameters) / Math.max(1, allBytes);
  const unused = 1 - shape.usedExpertsShare;
  const usedBytes = weights.layerBytes.map(
    (bytes, layer) => bytes - unused * (weights.expertBytes[layer] ?? 0),
  );
  return {
    modelId,
    layers: shape.layers,
    trainedContextTokens: card.contextTokens,
    hiddenSize: shape.hiddenSize,
    weights: {
      layerBytes: weights.layerBytes,
      embeddingBytes: weights.embeddingBytes,
      firstShardBytes: weights.embeddingBytes - weights.tokenEmbeddingBytes,
      outputBytes: weights.outputBytes,
      tiedHeadBytes: weights.isOutputTied ? weights.headBytes : 0,
      commonBytes: weights.commonBytes,
    },
    cache: { ...cache, cellMultiple: CELL_MULTIPLE },
    overhead: overheadOf(card, shape),
    work: {
      weightType: weights.layerType,
      layerReadBytes: usedBytes,
      layerOperations: usedBytes.map((bytes) => bytes * operationsPerByte),
      headReadBytes: weights.headBytes,
      headOperations: OPERATIONS_PER_WEIGHT * shape.hiddenSize * shape.vocabularySize,
    },
    cuts: legalCuts(card),
    slices: tensorSlices(card),
  };
}

/**
 * The overhead is linear in cells, and in the logits of a step but for one maximum: three estimates give all of it, so
 * that the formula stands in one place only.
 */
function overheadOf(card: ModelCard, { hiddenSize, vocabularySize }: NetworkShape): ModelShape['overhead'] {
  const logitsRowBytes = vocabularySize * F32_BYTES;
  const mostOutputRows = ENGINE.batchRows;
  const overheadBytes = (cacheCells: number, outputRows: number): number =>
    estimateMemory(card, {
      contextTokens: CELL_MULTIPLE,
      sequences: 1,
      cacheCells,
      outputRows,
    }).overheadBytes;
  const leastBytes = overheadBytes(CELL_MULTIPLE, 0);
  const bytesPerCell = (overheadBytes(2 * CELL_MULTIPLE, 0) - leastBytes) / CELL_MULTIPLE;
  const mostLogits = mostOutputRows * logitsRowBytes;
  // Logits take the place of activations as far as these go: what is not added for them is what activations take.
  const addedBytes = overheadBytes(CELL_MULTIPLE, mostOutputRows) - leastBytes;
  const activationBytes = 2 * mostLogits - addedBytes;
  return {
    fixedBytes: leastBytes - CELL_MULTIPLE * bytesPerCell - activationBytes,
    activationBytes,
    logitsRowBytes,
    mostOutputRows,
    bytesPerCell,
    passedRowsBytes: ENGINE.batchRows * hiddenSize * F32_BYTES,
  };
}
