/**
 * Tiny models with random weights, always the same for the same shape: for the self-test at start and for tests of
 * the arithmetic. Every value is exact in f32, so that a reference can start from the very same numbers.
 */
import type { WritableGguf, WritableMetadata, WritableTensor } from '../../models/gguf/writer.js';
import { byteVocabulary } from './byteVocabulary.js';

export interface TinyModelShape {
  readonly architecture: 'llama' | 'qwen2' | 'qwen3';
  readonly layers: number;
  readonly hiddenSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly feedForwardSize: number;
  /** At least 261: one token a byte, one merge, four control tokens. */
  readonly vocabularySize: number;
  /** The head is the embedding matrix. */
  readonly tied: boolean;
  readonly ropeBase: number;
  readonly seed: number;
}

export const TINY_SHAPE: TinyModelShape = {
  architecture: 'qwen3',
  layers: 2,
  hiddenSize: 32,
  heads: 4,
  kvHeads: 2,
  headSize: 16,
  feedForwardSize: 64,
  vocabularySize: 288,
  tied: false,
  ropeBase: 10_000,
  seed: 1,
};

export const TINY_EPSILON = 1e-6;
const CONTEXT_TOKENS = 4096;

/** Spread of the weights: large enough that every part of the network moves the logits. */
const WEIGHT_SPREAD = 3.4;
const EMBEDDING_SPREAD = 2;
const NORM_SPREAD = 0.3;
const BIAS_SPREAD = 1;

export function tinyModel(shape: TinyModelShape): WritableGguf {
  return { metadata: tinyMetadata(shape), tensors: tinyTensors(shape) };
}

function tinyMetadata(shape: TinyModelShape): [string, WritableMetadata][] {
  const { architecture } = shape;
  const number = (key: string, value: number): [string, WritableMetadata] => [
    `${architecture}.${key}`,
    { type: 'uint32', value },
  ];
  const real = (key: string, value: number): [string, WritableMetadata] => [
    `${architecture}.${key}`,
    { type: 'float32', value },
  ];
  return [
    ['general.architecture', { type: 'string', value: architecture }],
    number('block_count', shape.layers),
    number('context_length', CONTEXT_TOKENS),
    number('embedding_length', shape.hiddenSize),
    number('feed_forward_length', shape.feedForwardSize),
    number('attention.head_count', shape.heads),
    number('attention.head_count_kv', shape.kvHeads),
    number('attention.key_length', shape.headSize),
    number('attention.value_length', shape.headSize),
    number('rope.dimension_count', shape.headSize),
    number('vocab_size', shape.vocabularySize),
    real('attention.layer_norm_rms_epsilon', TINY_EPSILON),
    real('rope.freq_base', shape.ropeBase),
    ...byteVocabulary(shape.vocabularySize),
  ];
}

function tinyTensors(shape: TinyModelShape): WritableTensor[] {
  const random = generator(shape.seed);
  const tensors: WritableTensor[] = [];
  const add = (name: string, dims: readonly number[], value: () => number): void => {
    const values = new Float32Array(dims.reduce((product, dim) => product * dim, 1));
    for (let index = 0; index < values.length; index += 1) values[index] = value();
    tensors.push({ name, dims, type: 'f32', data: new Uint8Array(values.buffer) });
  };
  const matrix = (name: string, inputs: number, outputs: number): void =>
    add(name, [inputs, outputs], () => (random() * WEIGHT_SPREAD) / Math.sqrt(inputs));
  const norm = (name: string, size: number): void => add(name, [size], () => 1 + random() * NORM_SPREAD);
  const bias = (name: string, size: number): void => add(name, [size], () => random() * BIAS_SPREAD);

  const { hiddenSize, headSize } = shape;
  const querySize = shape.heads * headSize;
  const keySize = shape.kvHeads * headSize;
  add('token_embd.weight', [hiddenSize, shape.vocabularySize], () => random() * EMBEDDING_SPREAD);
  norm('output_norm.weight', hiddenSize);
  if (!shape.tied) matrix('output.weight', hiddenSize, shape.vocabularySize);
  for (let layer = 0; layer < shape.layers; layer += 1) {
    const block = `blk.${layer}`;
    norm(`${block}.attn_norm.weight`, hiddenSize);
    matrix(`${block}.attn_q.weight`, hiddenSize, querySize);
    matrix(`${block}.attn_k.weight`, hiddenSize, keySize);
    matrix(`${block}.attn_v.weight`, hiddenSize, keySize);
    matrix(`${block}.attn_output.weight`, querySize, hiddenSize);
    if (shape.architecture === 'qwen2') {
      bias(`${block}.attn_q.bias`, querySize);
      bias(`${block}.attn_k.bias`, keySize);
      bias(`${block}.attn_v.bias`, keySize);
    }
    if (shape.architecture === 'qwen3') {
      norm(`${block}.attn_q_norm.weight`, headSize);
      norm(`${block}.attn_k_norm.weight`, headSize);
    }
    norm(`${block}.ffn_norm.weight`, hiddenSize);
    matrix(`${block}.ffn_gate.weight`, hiddenSize, shape.feedForwardSize);
    matrix(`${block}.ffn_up.weight`, hiddenSize, shape.feedForwardSize);
    matrix(`${block}.ffn_down.weight`, shape.feedForwardSize, hiddenSize);
  }
  return tensors;
}

/** Numbers in [-0.5, 0.5): the linear congruential generator of Numerical Recipes. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
}
