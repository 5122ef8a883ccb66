/** Reads from a loaded model what it is, and refuses what cannot generate text row by row. */
import { ShoalError } from '../../shared/errors.js';
import type { ShardShape } from '../contract.js';
import type { Address } from './binding/declarations.js';
import type { Native } from './binding/native.js';

/** Architectures that load like a language model and are none: parts, drafts and other media. */
const NOT_TEXT_GENERATION: ReadonlySet<string> = new Set([
  'clip',
  'wavtokenizer-dec',
  'qwen3tts',
  'pockettts',
  'eagle3',
  'dflash',
  'gemma4-assistant',
  'gemma-embedding',
  'llama-embed',
]);

/** @throws {ShoalError} `model_unsupported`, naming the architecture */
export function modelShape(native: Native, model: Address): ShardShape {
  const architecture = metadata(native, model, 'general.architecture') ?? 'unknown';
  const refusal = refusalOf(native, model, architecture);
  if (refusal !== null) {
    throw new ShoalError('model_unsupported', `A model of architecture "${architecture}" ${refusal}.`);
  }
  const layerCount = native.model.layers(model);
  return {
    architecture,
    firstLayer: 0,
    endLayer: layerCount,
    layerCount,
    hiddenSize: native.model.hiddenSize(model),
    vocabularySize: native.vocabulary.size(native.model.vocabulary(model)),
    trainedContextTokens: native.model.trainedContext(model),
  };
}

function refusalOf(native: Native, model: Address, architecture: string): string | null {
  if (NOT_TEXT_GENERATION.has(architecture)) return 'is not one that generates text';
  if (native.model.hasEncoder(model)) return 'has an encoder, and only decoders can be run';
  if (!native.model.hasDecoder(model)) return 'has no decoder';
  if (native.model.isDiffusion(model)) return 'is a diffusion model, which does not write from left to right';
  return null;
}

/** A scalar of the file's metadata as text; null when the file has none of this name. */
export function metadata(native: Native, model: Address, key: string): string | null {
  const length = native.model.metadataValue(model, key, null, 0);
  if (length < 0) return null;
  const text = Buffer.alloc(length + 1);
  native.model.metadataValue(model, key, text, text.length);
  return text.toString('utf8', 0, length);
}
