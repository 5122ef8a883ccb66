import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { MetadataValue, TensorInfo } from '../../models/gguf/types.js';
import { ShoalError } from '../../shared/errors.js';
import { checkModelFile } from './checkModelFile.js';

const texts = (value: readonly string[]): MetadataValue => ({
  type: 'array',
  elementType: 'string',
  value,
  length: value.length,
});

const GOOD: readonly (readonly [string, MetadataValue])[] = [
  ['general.architecture', { type: 'string', value: 'llama' }],
  ['llama.block_count', { type: 'uint32', value: 4 }],
  ['llama.embedding_length', { type: 'uint32', value: 64 }],
  ['llama.attention.head_count', { type: 'uint32', value: 4 }],
  ['tokenizer.ggml.model', { type: 'string', value: 'gpt2' }],
  ['tokenizer.ggml.tokens', texts(['a', 'b', '', '', '\uFFFD', '\uFFFD'])],
];

const KEYS: TensorInfo = {
  name: 'blk.0.attn_k.weight',
  type: 'f32',
  dims: [64, 64],
  elements: 4096,
  sizeBytes: 16_384,
  offset: 0,
};

function check(
  changes: readonly (readonly [string, MetadataValue | null])[],
  tensors: readonly TensorInfo[] = [KEYS],
): void {
  const metadata = new Map(GOOD);
  for (const [key, value] of changes) {
    if (value === null) metadata.delete(key);
    else metadata.set(key, value);
  }
  checkModelFile({ version: 3, metadata, tensors, dataOffset: 0, fileBytes: 0 }, 'model.gguf');
}

it('R61: a sound file passes, also with several empty and not readable tokens', () => {
  check([]);
});

it('R61: what would end the process is refused with the name of what is wrong', () => {
  const bad: readonly (readonly [string, MetadataValue | null, RegExp])[] = [
    ['general.architecture', null, /general\.architecture/],
    ['llama.block_count', { type: 'uint32', value: 0 }, /block_count/],
    ['llama.block_count', { type: 'uint32', value: 513 }, /block_count/],
    ['llama.attention.layer_norm_rms_epsilon', { type: 'float32', value: Number.NaN }, /epsilon/],
    ['llama.attention.layer_norm_rms_epsilon', { type: 'float32', value: -1 }, /epsilon/],
    ['llama.rope.dimension_count', { type: 'uint32', value: 8 }, /rotary/],
    ['llama.attention.value_length', { type: 'uint32', value: 8 }, /values/],
    ['llama.attention.head_count_kv', { type: 'uint32', value: 2 }, /key heads/],
    ['llama.attention.head_count', { type: 'uint32', value: 2 ** 24 }, /heads of size/],
    ['tokenizer.ggml.tokens', null, /no vocabulary/],
    ['tokenizer.ggml.model', { type: 'string', value: 'none' }, /no vocabulary/],
    ['tokenizer.ggml.tokens', texts(['a', 'b', 'a']), /"a" twice/],
    ['tokenizer.ggml.tokens', texts(['a\0x', 'a\0y']), /"a" twice/],
    ['tokenizer.ggml.scores', { type: 'array', elementType: 'float32', value: [1], length: 1 }, /scores/],
    ['tokenizer.ggml.token_type', texts(['a']), /token_type/],
    ['tokenizer.ggml.merges', { type: 'uint32', value: 1 }, /merges/],
  ];
  for (const [key, value, message] of bad) {
    assert.throws(
      () => check([[key, value]]),
      (error) =>
        error instanceof ShoalError && error.code === 'model_unsupported' && message.test(error.message),
      `${key} = ${JSON.stringify(value)}`,
    );
  }
});

it('R61: head counts that differ from layer to layer are left to the engine', () => {
  check([
    [
      'llama.attention.head_count_kv',
      { type: 'array', elementType: 'uint32', value: [1, 2, 4, 4], length: 4 },
    ],
  ]);
});
