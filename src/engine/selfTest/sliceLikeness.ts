/**
 * A tiny model in the likeness of one that is to be sliced: the same tensors and rotation, with small sizes that divide by
 * the number of slices. All layers of a model that can be sliced are alike, so that two of them do.
 */
import type { GgufFile, MetadataValue, TensorInfo } from '../../models/gguf/types.js';
import { architectureOf } from '../../models/sharding/legalCuts.js';
import { LAYER_DIVISIONS } from '../../models/sharding/sliceRules.js';
import {
  fullSize,
  LAYER_TENSOR,
  type SlicedNetwork,
  slicedNetwork,
} from '../../models/sharding/tensorSlices.js';
import { LIKENESS, tinyLikeness } from './tinyLikeness.js';

export const LIKENESS_LAYERS = 2;
const HEAD_SIZE = 16;
const FEED_FORWARD_OF_RANK = 32;
const BYTES_OF_FLOAT = 4;

/** @param gguf the header of the real model, which can be sliced: parts joined */
export function sliceLikeness(gguf: GgufFile, worldSize: number): GgufFile {
  const architecture = architectureOf(gguf) ?? '';
  const real = slicedNetwork(gguf, architecture);
  // Query heads share keys in the likeness where they do in the real model.
  const heads = worldSize * (real !== null && real.keyValueHeads < real.heads ? 2 : 1);
  const network: SlicedNetwork = {
    layers: LIKENESS_LAYERS,
    // In Qwen2 heads are as wide as the hidden state, all together.
    hiddenSize: heads * HEAD_SIZE,
    heads,
    keyValueHeads: worldSize,
    headSize: HEAD_SIZE,
    feedForwardSize: worldSize * FEED_FORWARD_OF_RANK,
  };
  const tiny = tinyLikeness(gguf);
  const metadata = new Map<string, MetadataValue>(tiny.metadata);
  const set = (key: string, value: number): void => {
    metadata.set(`${architecture}.${key}`, { type: 'uint32', value });
  };
  set('block_count', LIKENESS_LAYERS);
  set('embedding_length', network.hiddenSize);
  set('feed_forward_length', network.feedForwardSize);
  set('attention.head_count', heads);
  set('attention.head_count_kv', network.keyValueHeads);
  set('attention.key_length', HEAD_SIZE);
  set('attention.value_length', HEAD_SIZE);
  set('rope.dimension_count', HEAD_SIZE);
  const tensors = gguf.tensors
    .filter(({ name }) => Number(LAYER_TENSOR.exec(name)?.[1] ?? 0) < LIKENESS_LAYERS)
    .map(({ name }) => tensorOf(name, dimsOf(name, network)));
  return { ...tiny, metadata, tensors };
}

function dimsOf(name: string, network: SlicedNetwork): readonly number[] {
  const { hiddenSize, headSize } = network;
  if (name === 'token_embd.weight' || name === 'output.weight') {
    return [hiddenSize, LIKENESS.vocabularySize];
  }
  if (name === 'rope_freqs.weight') return [headSize / 2];
  const within = LAYER_TENSOR.exec(name)?.[2] ?? '';
  const division = LAYER_DIVISIONS.get(within) ?? { by: 'nothing' };
  if (division.by === 'nothing') return [/_[qk]_norm/.test(within) ? headSize : hiddenSize];
  const size = fullSize(division.of, network);
  if (division.by === 'inputs') return [size, hiddenSize];
  return within.endsWith('.bias') ? [size] : [hiddenSize, size];
}

function tensorOf(name: string, dims: readonly number[]): TensorInfo {
  const elements = dims.reduce((product, dim) => product * dim, 1);
  return { name, type: 'f32', dims, elements, sizeBytes: elements * BYTES_OF_FLOAT, offset: 0 };
}
