import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { slicesRefusal } from '../../shared/modelDivision.js';
import { tensorTypeOfName } from '../gguf/tensorTypes.js';
import type { GgufFile, MetadataValue, TensorInfo } from '../gguf/types.js';
import { sourceBytes } from './shardModel.js';
import { sliceModel } from './sliceModel.js';
import { findTensorSlices } from './tensorSlices.js';

interface Sizes {
  readonly architecture: string;
  readonly hiddenSize: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
  readonly feedForwardSize: number;
  readonly vocabularySize: number;
  readonly type: 'f32' | 'q8_0' | 'q4_K';
}

const USUAL: Sizes = {
  architecture: 'qwen3',
  hiddenSize: 512,
  heads: 16,
  keyValueHeads: 8,
  headSize: 64,
  feedForwardSize: 1536,
  vocabularySize: 1000,
  type: 'q8_0',
};

function header(sizes: Sizes): GgufFile {
  const { architecture, hiddenSize, heads, keyValueHeads, headSize, feedForwardSize } = sizes;
  const number = (key: string, value: number): [string, MetadataValue] => [
    `${architecture}.${key}`,
    { type: 'uint32', value },
  ];
  const tensor = (name: string, dims: readonly number[], type: Sizes['type'] = sizes.type): TensorInfo => {
    const elements = dims.reduce((product, dim) => product * dim, 1);
    const { blockBytes, blockElements } = tensorTypeOfName(type);
    return { name, type, dims, elements, sizeBytes: (elements / blockElements) * blockBytes, offset: 0 };
  };
  const layers = [0, 1].flatMap((layer) => [
    tensor(`blk.${layer}.attn_norm.weight`, [hiddenSize], 'f32'),
    tensor(`blk.${layer}.attn_q.weight`, [hiddenSize, heads * headSize]),
    tensor(`blk.${layer}.attn_k.weight`, [hiddenSize, keyValueHeads * headSize]),
    tensor(`blk.${layer}.attn_v.weight`, [hiddenSize, keyValueHeads * headSize]),
    tensor(`blk.${layer}.attn_v.bias`, [keyValueHeads * headSize], 'f32'),
    tensor(`blk.${layer}.attn_output.weight`, [heads * headSize, hiddenSize]),
    tensor(`blk.${layer}.ffn_norm.weight`, [hiddenSize], 'f32'),
    tensor(`blk.${layer}.ffn_gate.weight`, [hiddenSize, feedForwardSize]),
    tensor(`blk.${layer}.ffn_up.weight`, [hiddenSize, feedForwardSize]),
    tensor(`blk.${layer}.ffn_down.weight`, [feedForwardSize, hiddenSize]),
  ]);
  return {
    version: 3,
    metadata: new Map<string, MetadataValue>([
      ['general.architecture', { type: 'string', value: architecture }],
      number('block_count', 2),
      number('embedding_length', hiddenSize),
      number('feed_forward_length', feedForwardSize),
      number('attention.head_count', heads),
      number('attention.head_count_kv', keyValueHeads),
      number('attention.key_length', headSize),
    ]),
    tensors: [
      tensor('token_embd.weight', [hiddenSize, sizes.vocabularySize]),
      tensor('output_norm.weight', [hiddenSize], 'f32'),
      tensor('output.weight', [hiddenSize, sizes.vocabularySize]),
      ...layers,
    ],
    dataOffset: 0,
    fileBytes: 0,
  };
}

describe('R38: into how many slices a model can be divided', () => {
  const refusal = (worldSize: number, more: Partial<Sizes> = {}) => {
    const sizes = { ...USUAL, ...more };
    return slicesRefusal(findTensorSlices(header(sizes), sizes.architecture), worldSize);
  };

  test('into as many as divide KV heads, heads and the feed-forward layer, in whole blocks', () => {
    assert.deepEqual(
      [1, 2, 3, 4, 5, 6, 7, 8, 16].filter((count) => refusal(count) === null),
      [1, 2, 4, 8],
    );
    assert.match(refusal(3) ?? '', /^its 8 KV heads do not divide by 3\.$/);
    assert.match(
      refusal(4, { type: 'q4_K' }) ?? '',
      /^its 1536 feed-forward numbers do not divide by 4 in blocks of 256\.$/,
    );
    assert.equal(refusal(2, { type: 'q4_K' }), null);
    assert.match(
      refusal(8, { type: 'q4_K', feedForwardSize: 4096 }) ?? '',
      /16 attention heads .* blocks of 4/,
    );
  });

  test('only families of the table, of equal layers and known tensors', () => {
    assert.match(refusal(2, { architecture: 'gemma' }) ?? '', /family `gemma`/);
    const gguf = header(USUAL);
    const reason = (change: Partial<GgufFile>) =>
      slicesRefusal(findTensorSlices({ ...gguf, ...change }, 'qwen3'), 2) ?? '';
    const [first] = gguf.tensors as [TensorInfo];
    assert.match(
      reason({ tensors: [...gguf.tensors, { ...first, name: 'blk.0.ffn_exp.weight' }] }),
      /ffn_exp/,
    );
    assert.match(reason({ tensors: [...gguf.tensors, { ...first, name: 'blk.2.ffn_up.weight' }] }), /blk\.2/);
    assert.match(
      reason({ tensors: gguf.tensors.filter(({ name }) => name !== 'blk.1.ffn_down.weight') }),
      /no tensor `blk.1.ffn_down.weight`/,
    );
    const widths: MetadataValue = { type: 'uint32', value: 32 };
    assert.match(
      reason({ metadata: new Map([...gguf.metadata, ['qwen3.attention.value_length', widths]]) }),
      /not all of one size/,
    );
    const list: MetadataValue = { type: 'array', elementType: 'uint32', value: [8, 4], length: 2 };
    assert.match(
      reason({ metadata: new Map([...gguf.metadata, ['qwen3.attention.head_count_kv', list]]) }),
      /not all of one size/,
    );
  });
});

describe('R62: slices as models of their own', () => {
  const sizes: fc.Arbitrary<Sizes> = fc.record({
    architecture: fc.constantFrom('llama', 'qwen2', 'qwen3', 'gemma'),
    hiddenSize: fc.constantFrom(256, 512),
    heads: fc.constantFrom(2, 6, 8, 16),
    keyValueHeads: fc.constantFrom(1, 2, 4),
    headSize: fc.constantFrom(32, 64, 128),
    feedForwardSize: fc.constantFrom(256, 768, 2048),
    vocabularySize: fc.integer({ min: 8, max: 2000 }),
    type: fc.constantFrom('f32', 'q8_0', 'q4_K'),
  });

  test('together they have every stored byte once, of what is not on all of them; nothing else can be made', () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 8 }), (model, worldSize) => {
        fc.pre((model.heads * model.headSize) % 256 === 0);
        const gguf = header(model);
        if (slicesRefusal(findTensorSlices(gguf, model.architecture), worldSize) !== null) {
          assert.throws(() => sliceModel(gguf, { rank: 0, worldSize }), { code: 'sharding_unsupported' });
          return;
        }
        const taken = new Map<TensorInfo, Uint8Array>();
        for (let rank = 0; rank < worldSize; rank += 1) {
          for (const { source } of sliceModel(gguf, { rank, worldSize }).model.tensors) {
            if (source.kind !== 'part') continue;
            const { tensor, pieces } = source;
            const elements = source.dims.reduce((product, dim) => product * dim, 1);
            assert.equal(sourceBytes(source) * tensor.elements, elements * tensor.sizeBytes);
            const bytes = taken.get(tensor) ?? new Uint8Array(tensor.sizeBytes);
            taken.set(tensor, bytes);
            for (let piece = 0; piece < pieces.count; piece += 1) {
              const from = pieces.offset + piece * pieces.strideBytes;
              for (let at = from; at < from + pieces.sizeBytes; at += 1)
                bytes[at] = (bytes[at] as number) + 1;
            }
          }
        }
        assert.equal(taken.size, 1 + 2 * 8);
        for (const bytes of taken.values()) assert.ok(bytes.every((count) => count === 1));
      }),
      { numRuns: 40 },
    );
  });

  test('each is narrower by the number of ranks; Qwen2 goes by another name', () => {
    const metadata = new Map(sliceModel(header(USUAL), { rank: 1, worldSize: 4 }).model.metadata);
    const value = (key: string) => metadata.get(`qwen3.${key}`)?.value;
    assert.equal(value('attention.head_count'), 4);
    assert.equal(value('attention.head_count_kv'), 2);
    assert.equal(value('attention.key_length'), 64);
    assert.equal(value('feed_forward_length'), 384);
    const qwen2 = sliceModel(header({ ...USUAL, architecture: 'qwen2' }), { rank: 0, worldSize: 2 });
    assert.equal(new Map(qwen2.model.metadata).get('general.architecture')?.value, 'seed_oss');
    assert.ok(qwen2.model.tensors.some(({ name }) => name === 'blk.1.post_attention_norm.weight'));
    assert.equal(qwen2.model.architecture, 'qwen2');
  });

  test('ranks that are not there are refused', () => {
    for (const [rank, worldSize] of [
      [2, 2],
      [-1, 2],
      [0.5, 2],
      [0, 0],
      [0, Number.NaN],
    ] as const) {
      assert.throws(() => sliceModel(header(USUAL), { rank, worldSize }), { code: 'sharding_unsupported' });
    }
  });
});
