/** Reads the files of one model into a card, or into the reason why there is none, and shows either in a list. */
import { ShoalError } from '../shared/errors.js';
import { ENGINE } from '../shared/limits.js';
import { cardOf, type ModelCard } from './card.js';
import { readGguf } from './gguf/reader.js';
import type { ModelListing } from './listing.js';
import { estimateMemory } from './memory.js';
import type { ModelFiles } from './modelNames.js';
import { joinParts } from './splitFiles.js';

export interface ModelReading {
  /** Null when the files cannot be read. */
  readonly card: ModelCard | null;
  /** Null when the model can run, else why not. */
  readonly refusal: string | null;
}

/** Cards need the lengths of vocabularies, not their contents. */
const KEEP_ARRAY_BYTES = 64 * 1024;
const MS_PER_SECOND = 1000;

export function readModel({ modelId, files, missing }: ModelFiles): ModelReading {
  if (missing.length > 0) {
    return {
      card: null,
      refusal: `It comes in several files, and these are missing: ${missing.join(', ')}.`,
    };
  }
  try {
    const parts = files.map(({ path }) => readGguf(path, { keepArrayBytes: KEEP_ARRAY_BYTES }));
    const card = cardOf(parts.length === 1 ? parts[0]! : joinParts(parts, modelId), modelId);
    return { card, refusal: card.refusal };
  } catch (error) {
    if (!(error instanceof ShoalError)) throw error;
    return { card: null, refusal: error.message };
  }
}

export function listingOf(
  model: ModelFiles,
  { card, refusal }: ModelReading,
  embedded: boolean,
): ModelListing {
  const [first] = model.files;
  return {
    modelId: model.modelId,
    path: first.path,
    embedded,
    fileBytes: model.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    architecture: card?.architecture ?? null,
    quantisation: card?.quantisation ?? null,
    parameters: card?.parameters ?? null,
    layers: card?.shape?.layers ?? null,
    contextTokens: card?.contextTokens ?? null,
    memory: card === null || card.shape === null || refusal !== null ? null : defaultMemory(card),
    license: card?.license ?? null,
    refusal,
    created: Math.floor(first.modifiedMs / MS_PER_SECOND),
  };
}

/** With the default context and sequences, and KV cells for one full context: the least that a node takes for these. */
function defaultMemory(card: ModelCard) {
  const contextTokens = Math.min(ENGINE.contextTokens, card.contextTokens ?? ENGINE.contextTokens);
  return estimateMemory(card, {
    contextTokens,
    sequences: ENGINE.sequences,
    cacheCells: contextTokens,
  });
}
