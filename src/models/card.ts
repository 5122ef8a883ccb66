/**
 * What a model is, from the header of its file: for lists, for placement and memory estimates, and for the reason why
 * it cannot run. A card is made for every readable GGUF file; `refusal` says which of them are models to chat with.
 */
import type { SamplingParameters } from '../shared/generation.js';
import type { LayerCuts, TensorSlices } from '../shared/modelDivision.js';
import { architectureRefusal } from './architectures.js';
import { type AttentionShape, type CacheShape, cacheShapeOf } from './cacheShape.js';
import { getArray, getNumber, getNumbers, getString } from './gguf/metadata.js';
import type { GgufFile } from './gguf/types.js';
import { quantisationOf } from './quantisation.js';
import { findLegalCuts } from './sharding/legalCuts.js';
import { findTensorSlices } from './sharding/tensorSlices.js';
import { type WeightSizes, weightSizesOf } from './weights.js';

/** What the model file recommends (`general.sampling.*`). */
type RecommendedSampling = Pick<
  SamplingParameters,
  'temperature' | 'topK' | 'topP' | 'minP' | 'repetitionPenalty'
>;

/** Numbers of the network that computing and memory depend on. */
export interface ModelShape extends AttentionShape {
  readonly vocabularySize: number;
  /** Width of the feed-forward layers, of all experts that one token uses together. */
  readonly feedForwardLength: number;
  readonly weights: WeightSizes;
  /** Of the experts of a mixture, how many one token uses: 0 to 1; 1 where there are none. */
  readonly usedExpertsShare: number;
  readonly cache: CacheShape;
  /** Asked for with `legalCuts` of sharding/legalCuts.ts. */
  readonly legalCuts: LayerCuts;
  /** Asked for with `tensorSlices` of sharding/tensorSlices.ts. */
  readonly tensorSlices: TensorSlices;
}

export interface ModelCard {
  /** `general.name`, else the name given to `cardOf`. */
  readonly name: string;
  readonly architecture: string | null;
  readonly quantisation: string | null;
  readonly parameters: number;
  /** 0 when the file does not tell. */
  readonly layers: number;
  /** Longest context that the model was trained for, in tokens. */
  readonly contextTokens: number | null;
  readonly license: string | null;
  readonly hasChatTemplate: boolean;
  readonly sampling: RecommendedSampling;
  readonly fileBytes: number;
  /** Null when the file does not describe a network that can be run. */
  readonly shape: ModelShape | null;
  /** Null when the engine can run it, else why not, for people. */
  readonly refusal: string | null;
}

/** Layers that llama.cpp can hold (`LLAMA_MAX_LAYERS`). */
const MAXIMUM_LAYERS = 512;

/** @param gguf the whole model: parts joined (`splitFiles.ts`) */
export function cardOf(gguf: GgufFile, fallbackName: string): ModelCard {
  const architecture = getString(gguf, 'general.architecture');
  const shape = architecture === null ? null : shapeOf(gguf, architecture);
  return {
    name: getString(gguf, 'general.name') ?? fallbackName,
    architecture,
    quantisation: quantisationOf(gguf),
    parameters: gguf.tensors.reduce((sum, tensor) => sum + tensor.elements, 0),
    layers: shape === null || typeof shape === 'string' ? 0 : shape.layers,
    contextTokens: architecture === null ? null : positive(getNumber(gguf, `${architecture}.context_length`)),
    license: getString(gguf, 'general.license'),
    hasChatTemplate: getString(gguf, 'tokenizer.chat_template') !== null,
    sampling: samplingOf(gguf),
    fileBytes: gguf.fileBytes,
    shape: typeof shape === 'string' ? null : shape,
    refusal: refusalOf(gguf, architecture) ?? (typeof shape === 'string' ? shape : null),
  };
}

function refusalOf(gguf: GgufFile, architecture: string | null): string | null {
  const type = getString(gguf, 'general.type');
  if (type !== null && type !== 'model') return `The file holds no model but is of the type \`${type}\`.`;
  if (architecture === null) return 'The file does not name its architecture (`general.architecture`).';
  const refusal = architectureRefusal(architecture);
  if (refusal !== null) return refusal;
  if ((getNumber(gguf, `${architecture}.pooling_type`) ?? 0) > 0) {
    return 'This is an embedding or ranking model: it turns text into vectors or scores and generates none.';
  }
  if (gguf.tensors.length === 0) return 'The file has no tensors, only a vocabulary.';
  const tokenizer = getString(gguf, 'tokenizer.ggml.model');
  if (tokenizer === null || tokenizer === 'none' || tokenizer === 'no_vocab')
    return 'The file has no tokenizer.';
  return null;
}

/** The shape, or what is missing, for people. */
function shapeOf(gguf: GgufFile, architecture: string): ModelShape | string {
  const required = (key: string) => positive(getNumber(gguf, `${architecture}.${key}`));
  const layers = required('block_count');
  if (layers === null || layers > MAXIMUM_LAYERS) {
    return `\`${architecture}.block_count\` is missing, or not a number from 1 to ${MAXIMUM_LAYERS}.`;
  }
  const hiddenSize = required('embedding_length');
  if (hiddenSize === null) return `\`${architecture}.embedding_length\` is missing.`;
  const vocabularySize = getArray(gguf, 'tokenizer.ggml.tokens')?.length ?? required('vocab_size');
  if (vocabularySize === null) return 'The file does not tell the size of its vocabulary.';

  const heads =
    perLayer(gguf, `${architecture}.attention.head_count`, layers) ?? new Array<number>(layers).fill(0);
  const keyValueHeads = perLayer(gguf, `${architecture}.attention.head_count_kv`, layers) ?? heads;
  const headSize = hiddenSize / Math.max(1, heads.find((count) => count > 0) ?? 1);
  const attention: AttentionShape = {
    layers,
    hiddenSize,
    heads,
    keyValueHeads,
    keyLength: required('attention.key_length') ?? headSize,
    valueLength: required('attention.value_length') ?? headSize,
  };
  return {
    ...attention,
    vocabularySize,
    feedForwardLength: feedForwardLengthOf(gguf, architecture, layers),
    weights: weightSizesOf(gguf.tensors, layers),
    usedExpertsShare: usedExpertsShareOf(gguf, architecture),
    cache: cacheShapeOf(gguf, architecture, attention),
    legalCuts: findLegalCuts(gguf, architecture, layers),
    tensorSlices: findTensorSlices(gguf, architecture),
  };
}

function feedForwardLengthOf(gguf: GgufFile, architecture: string, layers: number): number {
  const dense = Math.max(0, ...(perLayer(gguf, `${architecture}.feed_forward_length`, layers) ?? []));
  const expert = getNumber(gguf, `${architecture}.expert_feed_forward_length`) ?? dense;
  const used = getNumber(gguf, `${architecture}.expert_used_count`) ?? 0;
  return Math.max(dense, expert * used);
}

function usedExpertsShareOf(gguf: GgufFile, architecture: string): number {
  const count = getNumber(gguf, `${architecture}.expert_count`) ?? 0;
  const used = getNumber(gguf, `${architecture}.expert_used_count`) ?? 0;
  return count > 0 && used > 0 ? Math.min(1, used / count) : 1;
}

/** One number for all layers, or an array of one for each; null when there is neither. */
function perLayer(gguf: GgufFile, key: string, layers: number): readonly number[] | null {
  const one = getNumber(gguf, key);
  if (one !== null) return new Array<number>(layers).fill(Math.max(0, one));
  if (getArray(gguf, key)?.length !== layers) return null;
  return getNumbers(gguf, key)?.map((value) => Math.max(0, value)) ?? null;
}

function positive(value: number | null): number | null {
  return value !== null && value > 0 ? value : null;
}

/** Under `general.sampling.` in the file. */
export const SAMPLING_KEYS = {
  temperature: 'temp',
  topK: 'top_k',
  topP: 'top_p',
  minP: 'min_p',
  repetitionPenalty: 'penalty_repeat',
} as const;

function samplingOf(gguf: GgufFile): RecommendedSampling {
  const found = Object.entries(SAMPLING_KEYS).flatMap(([name, key]) => {
    const value = getNumber(gguf, `general.sampling.${key}`);
    return value === null ? [] : [[name, value] as const];
  });
  return Object.fromEntries(found);
}
