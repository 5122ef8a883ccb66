/** What placement has to know of a model, from its card. */
import type { ModelShape } from '../control/placement/types.js';
import type { ModelCard } from '../models/card.js';
import { overheadParts } from '../models/memory.js';
import { ShoalError } from '../shared/errors.js';
import type { ModelId } from '../shared/ids.js';

const WHOLE_ONLY = 'it runs on one machine as a whole in this version.';

/** @throws {ShoalError} `model_unsupported` when the file does not describe its network */
export function placementShape(modelId: ModelId, card: ModelCard): ModelShape {
  const { shape } = card;
  if (shape === null) {
    throw new ShoalError('model_unsupported', card.refusal ?? `${card.name} does not describe its network.`);
  }
  const { weights, cache, layers, hiddenSize, vocabularySize } = shape;
  const { cellMultiple, ...overhead } = overheadParts(shape);
  const layersBytes = weights.layerBytes.reduce((sum, bytes) => sum + bytes, 0);
  const operationsPerByte = card.fileBytes === 0 ? 0 : (2 * card.parameters) / card.fileBytes;
  return {
    modelId,
    layers,
    trainedContextTokens: card.contextTokens,
    hiddenSize,
    weights: {
      layerBytes: weights.layerBytes,
      embeddingBytes: weights.embeddingBytes,
      outputBytes: weights.outputBytes,
      tiedHeadBytes: weights.isOutputTied ? weights.headBytes : 0,
      commonBytes: weights.commonBytes,
    },
    cache: { ...cache, cellMultiple },
    overhead,
    work: {
      layerReadBytes: weights.layerBytes,
      layerOperations: weights.layerBytes.map((bytes) => Math.round(bytes * operationsPerByte)),
      headReadBytes: weights.headBytes,
      headOperations: layersBytes === 0 ? 0 : 2 * hiddenSize * vocabularySize,
    },
    cuts: { canBeCut: false, reason: WHOLE_ONLY },
    slices: { canBeSliced: false, reason: WHOLE_ONLY },
  };
}
