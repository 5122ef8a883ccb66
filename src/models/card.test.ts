import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { ShoalError } from '../shared/errors.js';
import { cardOf, type ModelCard } from './card.js';
import { readGguf } from './gguf/reader.js';
import { type WritableMetadata, writeGguf } from './gguf/writer.js';
import { estimateMemory, estimateShardMemory } from './memory.js';
import { legalCuts } from './sharding/legalCuts.js';
import { tensorSlices } from './sharding/tensorSlices.js';
import {
  TEST_HEAD_BYTES,
  TEST_LAYER_BYTES,
  TEST_NORM_BYTES,
  TEST_VOCABULARY,
  type TestModel,
  testModel,
  textValue,
  uint,
  uints,
} from './testing/modelFile.js';

const folder = mkdtempSync(join(tmpdir(), 'shoal-card-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function card(model: TestModel = {}): ModelCard {
  const path = join(folder, 'model.gguf');
  writeGguf(path, testModel(model));
  return cardOf(readGguf(path, { keepArrayBytes: 512 }), 'model');
}

const real = (value: number): WritableMetadata => ({ type: 'float32', value });

describe('R61: model cards', () => {
  test('name, kind, size, context and license come from the file', () => {
    const { shape, ...rest } = card();
    assert.deepEqual(rest, {
      name: 'Tiny',
      architecture: 'llama',
      quantisation: 'Q8_0',
      parameters: 64 * 100 + 4 * (64 * 128 + 64) + 64,
      layers: 4,
      contextTokens: 2048,
      license: 'mit',
      hasChatTemplate: false,
      sampling: {},
      fileBytes: rest.fileBytes,
      refusal: null,
    });
    assert.equal(shape?.vocabularySize, TEST_VOCABULARY);
    assert.deepEqual(shape?.keyValueHeads, [2, 2, 2, 2]);
    assert.equal(shape?.keyLength, 16);
  });

  test('the quantisation is the one that the file names, before the one that is counted', () => {
    assert.equal(card({ metadata: { 'general.file_type': uint(15) } }).quantisation, 'Q4_K_M');
    assert.equal(card({ metadata: { 'general.file_type': uint(9999) } }).quantisation, 'Q8_0');
  });

  test('recommended sampling and the chat template are seen', () => {
    const found = card({
      metadata: {
        'general.sampling.temp': real(0.5),
        'general.sampling.top_k': { type: 'int32', value: 20 },
        'tokenizer.chat_template': textValue('{{ messages }}'),
      },
    });
    assert.deepEqual(found.sampling, { temperature: 0.5, topK: 20 });
    assert.equal(found.hasChatTemplate, true);
  });

  test('what cannot run says why', () => {
    const reasons: [TestModel, RegExp][] = [
      [{ architecture: 'brandnew' }, /does not know the architecture `brandnew`/],
      [{ architecture: 'clip' }, /`clip` is the image or sound encoder/],
      [{ architecture: 'bert' }, /`bert` is an embedding model/],
      [{ architecture: 'flux' }, /image or video model/],
      [{ architecture: 't5' }, /encoder-decoder/],
      [{ architecture: 'llada' }, /diffusion/],
      [{ metadata: { 'general.architecture': null } }, /does not name its architecture/],
      [{ metadata: { 'general.type': textValue('adapter') } }, /type `adapter`/],
      [{ metadata: { 'llama.pooling_type': uint(3) } }, /embedding or ranking/],
      [{ metadata: { 'tokenizer.ggml.model': null } }, /no tokenizer/],
      [{ metadata: { 'llama.block_count': null } }, /block_count/],
      [{ metadata: { 'llama.block_count': uint(2 ** 32 - 1) } }, /block_count/],
      [{ metadata: { 'llama.embedding_length': null } }, /embedding_length/],
    ];
    for (const [model, reason] of reasons) assert.match(card(model).refusal ?? '', reason);
  });

  test('a file with nothing but a vocabulary is no model', () => {
    const path = join(folder, 'vocabulary.gguf');
    writeGguf(path, { ...testModel(), tensors: [] });
    assert.match(cardOf(readGguf(path), 'v').refusal ?? '', /no tensors/);
  });
});

describe('R61: where a model may be cut', () => {
  test('is on its card', () => {
    assert.deepEqual(legalCuts(card()), {
      canBeCut: true,
      cuts: [1, 2, 3],
      layers: 4,
      refusedLayerCounts: [],
    });
  });

  test('a file that describes no network is not cut, and says why', () => {
    const legal = legalCuts({ ...card(), shape: null, refusal: 'It is a song.' });
    assert.deepEqual(legal, { canBeCut: false, reason: 'It is a song.' });
    const slices = tensorSlices({ ...card(), shape: null, refusal: 'It is a song.' });
    assert.deepEqual(slices, { canBeSliced: false, reason: 'It is a song.' });
  });
});

describe('R36: memory estimates', () => {
  const wish = { contextTokens: 1024, sequences: 2 };

  test('weights are the tensors, the KV cache is f16 for each KV head', () => {
    const memory = estimateMemory(card(), wish);
    assert.equal(memory.weightsBytes, TEST_HEAD_BYTES + 4 * TEST_LAYER_BYTES + TEST_NORM_BYTES);
    assert.equal(memory.cacheBytes, 4 * (16 + 16) * 2 * 2 * 2048);
    assert.equal(memory.totalBytes, memory.weightsBytes + memory.cacheBytes + memory.overheadBytes);
  });

  test('the cells that were asked for count, in whole multiples of 256', () => {
    const bytes = (cacheCells: number) => estimateMemory(card(), { ...wish, cacheCells }).cacheBytes;
    assert.equal(bytes(1), bytes(256));
    assert.equal(bytes(257), 2 * bytes(256));
  });

  test('shards: their layers, the head with the last; tokens are looked up in the file', () => {
    for (const tied of [true, false]) {
      const model = card({ tied });
      const weights = (startLayer: number, endLayer: number) =>
        estimateShardMemory(model, { startLayer, endLayer }, wish).weightsBytes;
      assert.equal(weights(0, 2), 2 * TEST_LAYER_BYTES);
      assert.equal(weights(1, 3), 2 * TEST_LAYER_BYTES);
      assert.equal(weights(2, 4), 2 * TEST_LAYER_BYTES + TEST_NORM_BYTES + TEST_HEAD_BYTES);
    }
    assert.throws(() => estimateShardMemory(card(), { startLayer: 3, endLayer: 5 }, wish), RangeError);
  });

  test('the KV cache of shards is together that of the whole model', () => {
    const cache = (startLayer: number, endLayer: number) =>
      estimateShardMemory(card(), { startLayer, endLayer }, wish).cacheBytes;
    assert.equal(cache(0, 1) + cache(1, 4), estimateMemory(card(), wish).cacheBytes);
  });

  test('only the last shard has logits, and more rows cost more', () => {
    const overhead = (startLayer: number, more: object = {}) =>
      estimateShardMemory(card(), { startLayer, endLayer: startLayer + 2 }, { ...wish, ...more })
        .overheadBytes;
    assert.ok(overhead(0, { outputRows: 512 }) < overhead(2, { outputRows: 512 }));
    assert.ok(overhead(0, { batchRows: 64 }) < overhead(0, { batchRows: 512 }));
  });

  test('R38: of a mixture of experts it is known what a token uses', () => {
    const path = join(folder, 'mixture.gguf');
    const plain = testModel({
      metadata: { 'llama.expert_count': uint(8), 'llama.expert_used_count': uint(2) },
    });
    const experts = [
      ['blk.1.ffn_up_exps.weight', 4_096],
      ['blk.1.ffn_up_shexp.weight', 512],
      ['blk.2.ffn_down.7.weight', 1_024],
    ] as const;
    const added = experts.map(([name, elements]) => ({
      name,
      dims: [elements],
      type: 'f32' as const,
      data: new Uint8Array(4 * elements),
    }));
    writeGguf(path, { ...plain, tensors: [...plain.tensors, ...added] });
    const { shape } = cardOf(readGguf(path), 'mixture');
    assert.equal(shape?.usedExpertsShare, 0.25);
    assert.deepEqual(shape?.weights.expertBytes, [0, 4 * 4_096, 4 * 1_024, 0]);
    assert.equal(shape?.weights.layerBytes[1], TEST_LAYER_BYTES + 4 * (4_096 + 512));
    assert.equal(card().shape?.usedExpertsShare, 1, 'a model without experts uses all that it has');
  });

  test('the format of a model is the one that most bytes of its layers are in', () => {
    const plain = testModel();
    const path = join(folder, 'mixed.gguf');
    const quantised = (name: string) => ({
      name,
      dims: [32, 4_096],
      type: 'q4_0' as const,
      data: new Uint8Array(18 * 4_096),
    });
    writeGguf(path, { ...plain, tensors: [...plain.tensors, quantised('blk.1.ffn_gate_inp.weight')] });
    assert.equal(cardOf(readGguf(path), 'mixed').shape?.weights.layerType, 'q4_0');
    writeGguf(path, { ...plain, tensors: [...plain.tensors, quantised('output_s.weight')] });
    assert.equal(cardOf(readGguf(path), 'mixed').shape?.weights.layerType, 'q8_0');
  });

  test('layers with KV heads of their own number, among them none', () => {
    const model = card({ metadata: { 'llama.attention.head_count_kv': uints([4, 0, 2, 0]) } });
    assert.equal(estimateMemory(model, wish).cacheBytes, (4 + 2) * (16 + 16) * 2 * 2048);
  });

  test('compressed keys (MLA) have no values', () => {
    const model = card({
      metadata: {
        'llama.attention.head_count_kv': uint(1),
        'llama.attention.key_length': uint(576),
        'llama.attention.value_length': uint(512),
        'llama.attention.key_length_mla': uint(192),
        'llama.attention.value_length_mla': uint(128),
      },
    });
    assert.equal(estimateMemory(model, wish).cacheBytes, 4 * 576 * 2 * 2048);
  });

  test('recurrent models need memory for each sequence, not for each cell', () => {
    const model = card({
      architecture: 'mamba',
      metadata: {
        'mamba.ssm.conv_kernel': uint(4),
        'mamba.ssm.inner_size': uint(128),
        'mamba.ssm.state_size': uint(16),
      },
    });
    const bytes = 4 * (3 * 128 + 16 * 128) * 4;
    assert.equal(estimateMemory(model, wish).cacheBytes, bytes * 2);
    assert.equal(estimateMemory(model, { ...wish, contextTokens: 9999 }).cacheBytes, bytes * 2);
  });

  test('hybrid models: attention on every n-th layer, a state on the others', () => {
    const model = card({
      architecture: 'qwen3next',
      metadata: {
        'qwen3next.full_attention_interval': uint(4),
        'qwen3next.ssm.conv_kernel': uint(4),
        'qwen3next.ssm.inner_size': uint(128),
        'qwen3next.ssm.state_size': uint(16),
        'qwen3next.ssm.group_count': uint(2),
      },
    });
    const state = (3 * (128 + 2 * 2 * 16) + 16 * 128) * 4;
    assert.equal(estimateMemory(model, wish).cacheBytes, (16 + 16) * 2 * 2 * 2048 + 3 * state * 2);
  });

  test('a model without a shape is refused with its reason', () => {
    const model = card({ metadata: { 'llama.embedding_length': null } });
    assert.throws(
      () => estimateMemory(model, wish),
      (error) =>
        error instanceof ShoalError &&
        error.code === 'model_unsupported' &&
        /embedding_length/.test(error.message),
    );
  });
});
