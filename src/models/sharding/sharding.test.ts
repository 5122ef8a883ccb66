import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { GgufFile, MetadataValue, TensorInfo } from '../gguf/types.js';
import { CUT_RULES } from './cutRules.js';
import { findLegalCuts, isLegalShard } from './legalCuts.js';
import { shardModel } from './shardModel.js';

const HIDDEN = 64;
const VOCABULARY = 500;

const tensor = (name: string, dims: readonly number[] = [HIDDEN]): TensorInfo => {
  const elements = dims.reduce((product, dim) => product * dim, 1);
  return { name, type: 'f32', dims, elements, sizeBytes: elements * 4, offset: 0 };
};

function header(
  architecture: string,
  layers: number,
  more: Record<string, number | number[]> = {},
): GgufFile {
  const value = (entry: number | number[]): MetadataValue =>
    typeof entry === 'number'
      ? { type: 'uint32', value: entry }
      : { type: 'array', elementType: 'uint32', value: entry, length: entry.length };
  return {
    version: 3,
    metadata: new Map<string, MetadataValue>([
      ['general.architecture', { type: 'string', value: architecture }],
      ['tokenizer.ggml.tokens', { type: 'array', elementType: 'string', value: ['a'], length: 1 }],
      [`${architecture}.block_count`, { type: 'uint32', value: layers }],
      [`${architecture}.embedding_length`, { type: 'uint32', value: HIDDEN }],
      ...Object.entries(more).map(([key, entry]) => [`${architecture}.${key}`, value(entry)] as const),
    ]),
    tensors: [
      tensor('token_embd.weight', [HIDDEN, VOCABULARY]),
      tensor('output_norm.weight'),
      tensor('output.weight', [HIDDEN, VOCABULARY]),
      tensor('rope_freqs.weight'),
      ...Array.from({ length: layers }, (_, layer) => tensor(`blk.${layer}.ffn_up.weight`, [HIDDEN, 96])),
    ],
    dataOffset: 0,
    fileBytes: 0,
  };
}

const cutsOf = (architecture: string, layers: number, more: Record<string, number | number[]> = {}) => {
  const legal = findLegalCuts(header(architecture, layers, more), architecture, layers);
  return legal.canBeCut ? legal.cuts : legal.reason;
};

describe('R61: where a model may be cut', () => {
  test('anywhere, where all layers are alike', () => {
    assert.deepEqual(cutsOf('llama', 5), [1, 2, 3, 4]);
  });

  test('where the kinds of layers repeat: as built in, or as the file says', () => {
    assert.deepEqual(cutsOf('gemma3', 26), [6, 12, 18, 24]);
    assert.deepEqual(cutsOf('gemma3', 26, { 'attention.sliding_window_pattern': 10 }), [10, 20]);
    assert.deepEqual(cutsOf('llama4', 16, { interleave_moe_layer_step: 3 }), [12]);
    assert.deepEqual(cutsOf('qwen35', 12, { full_attention_interval: 3 }), [3, 6, 9]);
    assert.deepEqual(cutsOf('lfm2', 6, { 'attention.head_count_kv': [0, 0, 8, 0, 8, 0] }), [1, 3, 5]);
    assert.deepEqual(cutsOf('mellum', 4, { 'attention.sliding_window_pattern': [1, 0, 1, 1] }), [1, 2, 3]);
  });

  test('not at all: unknown, known to be wrong, too short, or of a number of layers that is special', () => {
    assert.match(String(cutsOf('bloom', 8)), /`bloom` computes something else/);
    assert.match(String(cutsOf('tomorrow', 8)), /not been shown/);
    assert.match(String(cutsOf('gemma3', 4)), /do not repeat/);
    assert.match(String(cutsOf('gemma3', 62)), /62 layers/);
    assert.match(String(cutsOf('command-r', 64)), /64 layers/);
    assert.match(String(cutsOf('llama', 1)), /1 layers/);
  });

  test('layers that only draft do not take part', () => {
    assert.deepEqual(cutsOf('glm4moe', 5, { nextn_predict_layers: 1 }), [1, 2, 3]);
  });

  test('shards whose number of layers is special are refused', () => {
    const legal = findLegalCuts(header('deepseek2', 61), 'deepseek2', 61);
    assert.equal(isLegalShard(legal, 0, 27), false);
    assert.equal(isLegalShard(legal, 0, 28), true);
    assert.equal(isLegalShard(legal, 28, 61), true);
  });

  test('every legal shard of every architecture can be made, and nothing else', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...CUT_RULES.keys()),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: -1, max: 41 }),
        fc.integer({ min: -1, max: 41 }),
        (architecture, layers, first, end) => {
          const gguf = header(architecture, layers);
          const legal = findLegalCuts(gguf, architecture, layers);
          if (legal.canBeCut && isLegalShard(legal, first, end)) {
            const shard = shardModel(gguf, { first, end });
            const blocks = shard.tensors.filter(({ name }) => name.startsWith('blk.'));
            assert.deepEqual(
              blocks.map(({ name }) => name),
              Array.from({ length: end - first }, (_, layer) => `blk.${layer}.ffn_up.weight`),
            );
          } else {
            assert.throws(() => shardModel(gguf, { first, end }), { code: 'sharding_unsupported' });
          }
        },
      ),
    );
  });
});

describe('R62: a shard as a model of its own', () => {
  const lists = {
    'attention.head_count_kv': [1, 2, 3, 4, 5, 6],
    'rope.dimension_sections': [1, 1, 1, 1, 1, 1],
  };
  const gguf = header('deepseek', 6, { ...lists, leading_dense_block_count: 3, nextn_predict_layers: 0 });
  const metadata = (first: number, end: number) => {
    const entries = new Map(shardModel(gguf, { first, end }).metadata);
    return (key: string) => entries.get(key.startsWith('tokenizer') ? key : `deepseek.${key}`)?.value;
  };

  test('lists by layer are cut, others are not; leading layers are counted again', () => {
    const middle = metadata(2, 5);
    assert.deepEqual(middle('attention.head_count_kv'), [3, 4, 5]);
    assert.deepEqual(middle('rope.dimension_sections'), [1, 1, 1, 1, 1, 1]);
    assert.equal(middle('block_count'), 3);
    assert.equal(middle('leading_dense_block_count'), 1);
    assert.equal(metadata(0, 2)('leading_dense_block_count'), 2);
    assert.equal(metadata(3, 6)('leading_dense_block_count'), 0);
  });

  test('only the last has the vocabulary and the head; none has a tokenizer', () => {
    assert.equal(metadata(0, 3)('vocab_size'), 32);
    assert.equal(metadata(3, 6)('vocab_size'), VOCABULARY);
    assert.equal(metadata(3, 6)('tokenizer.ggml.model'), 'none');
    assert.equal(metadata(3, 6)('tokenizer.ggml.tokens'), undefined);
    const source = (first: number, end: number) =>
      shardModel(gguf, { first, end }).tensors.find(({ name }) => name === 'output.weight')?.source.kind;
    assert.equal(source(0, 3), 'constant');
    assert.equal(source(3, 6), 'tensor');
  });

  test('rows are taken behind the last layer, and tokens are looked up for the first', () => {
    const [first, last] = [shardModel(gguf, { first: 0, end: 4 }), shardModel(gguf, { first: 4, end: 6 })];
    assert.equal(first.outputNode, 'l_out-3');
    assert.equal(first.embeddings?.name, 'token_embd.weight');
    assert.equal(last.outputNode, null);
    assert.equal(last.embeddings, null);
  });
});
