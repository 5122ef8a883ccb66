/** Tensor slices of model files as users have them, against the whole model through libllama on the same file. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import type { Engine, EngineOptions } from '../../../src/engine/contract.js';
import { type OpenModel, openLlamaModel } from '../../../src/engine/llama/open.js';
import { renderChat } from '../../../src/models/chatTemplate.js';
import type { WritableGguf, WritableMetadata } from '../../../src/models/gguf/writer.js';
import { packageRoot } from '../../../src/shared/packageRoot.js';
import { quantisedModel, type StoredFormat } from '../shards/quantisedModel.js';
import {
  argmax,
  compute,
  largestDifference,
  type Row,
  rowsOf,
  stepInput,
  TEST_CAPACITY,
  temporaryFolder,
  tinyModel,
  tinyShape,
  writeModel,
} from '../support.js';
import { RankThreads, type SlicedEngine } from './slicedEngine.js';

const folder = temporaryFolder();
const threads = new RankThreads(3);
after(() => threads.end());

/** Relative to the largest logit. Partial sums are added in another order: rounding of f32. */
const EXACT = 1e-5;
/** Keys, values and attention in f16; what comes out of a rounding in between may go the other way. */
const ROUNDED = 0.005;
/** Products with quantised matrices round their inputs to 8 bits, and that goes the other way now and then too. */
const QUANTISED = 0.05;

/** No two sizes equal, and each divides by four. */
const SIZES = { hiddenSize: 64, heads: 8, kvHeads: 4, feedForwardSize: 192, layers: 3 } as const;
const shapeOf = (architecture: 'llama' | 'qwen2' | 'qwen3', more = {}) =>
  tinyShape(architecture, { ...SIZES, headSize: architecture === 'qwen2' ? 8 : 16, ...more });

function withBoth(
  modelPath: string,
  worldSize: number,
  more: Partial<EngineOptions>,
  run: (whole: Engine, slices: SlicedEngine) => void,
): void {
  const options = { modelPath, ...TEST_CAPACITY, ...more };
  const { engine: whole } = openLlamaModel(options);
  try {
    const slices = threads.open(worldSize, options);
    try {
      run(whole, slices);
    } finally {
      slices.close();
    }
  } finally {
    whole.close();
  }
}

interface Outcome {
  /** Largest difference of a logit, relative to the largest logit. */
  readonly worst: number;
  /** Tokens at temperature 0 that are the same, and all of them. */
  readonly same: number;
  readonly tokens: number;
}

/**
 * Prefill of two sequences, one of them in chunks beside the other's tokens; a prefix that is copied, a sequence that is
 * cut; and as many tokens of all three as are asked for, together, each continuing with what the whole model says.
 */
function generate(whole: Engine, slices: Engine, steps: number): Outcome {
  let worst = 0;
  let same = 0;
  let tokens = 0;
  const both = (rows: readonly Row[]): number[] => {
    const expected = compute(whole, rows);
    const actual = compute(slices, rows);
    assert.equal(actual.length, expected.length);
    return expected.map((logits, row) => {
      const largest = logits.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const other = actual[row] as Float32Array;
      worst = Math.max(worst, largestDifference(logits, other) / largest);
      const best = argmax(logits);
      tokens += 1;
      // What is as good as equal may come out either way.
      const isSame =
        argmax(other) === best ||
        (logits[best] as number) - (logits[argmax(other)] as number) <= largest * QUANTISED;
      if (isSame) same += 1;
      return best;
    });
  };
  const prompt = Array.from({ length: 40 }, (_, index) => (index * 29 + 7) % 250);
  let [first] = both(rowsOf(prompt, 0)).slice(-1);
  for (let from = 0; from < 40; from += 10) {
    const chunk = rowsOf(prompt.slice(from, from + 10).reverse(), 1, from, false);
    [first] = both([...chunk, { token: first as number, position: 40 + from / 10, sequence: 0 }]);
  }
  for (const engine of [whole, slices]) {
    engine.copyPrefix(0, 2, 30);
    assert.equal(engine.truncate(0, 20), true);
  }
  let next = [first as number, 1, 2];
  const lengths = [20, 40, 30];
  for (let step = 0; step < steps; step += 1) {
    next = both(
      next.map((token, sequence) => ({ token, position: (lengths[sequence] as number) + step, sequence })),
    );
  }
  return { worst, same, tokens };
}

function assertEqual(
  path: string,
  worldSize: number,
  tolerance: number,
  more: Partial<EngineOptions> = {},
): void {
  withBoth(path, worldSize, more, (whole, slices) => {
    const { worst, same, tokens } = generate(whole, slices, 22);
    assert.ok(worst <= tolerance, `${worldSize} slices are off by ${worst}`);
    assert.ok(tokens >= 100);
    assert.equal(same, tokens);
  });
}

/** Those that it has an answer to. In its stories the best tokens are often as good as equal. */
const QUESTIONS = ['How do I add a second machine?', 'What is a pipeline?'];
const LONGEST_ANSWER = 100;

function promptOf({ tokenizer, chatTemplate }: OpenModel, question: string): readonly number[] {
  const { beginText, endText, controlTexts } = tokenizer;
  const messages = [{ role: 'user' as const, content: question }];
  const segments = renderChat({
    template: chatTemplate,
    messages,
    beginText,
    endText,
    controlTexts,
    now: new Date(0),
  });
  return [...tokenizer.encode(segments, false)];
}

/** Tokens at temperature 0, to the end of the turn. */
function answer(engine: Engine, prompt: readonly number[], endTokens: ReadonlySet<number>): number[] {
  engine.truncate(0, 0);
  const tokens: number[] = [];
  let rows = rowsOf(prompt);
  while (tokens.length < LONGEST_ANSWER) {
    const token = argmax(compute(engine, rows).at(-1) as Float32Array);
    tokens.push(token);
    if (endTokens.has(token)) break;
    rows = rowsOf([token], 0, prompt.length + tokens.length - 1);
  }
  return tokens;
}

const FAMILIES = ['llama', 'qwen2', 'qwen3'] as const;

describe('R62: tensor slices compute what the whole model computes', () => {
  for (const architecture of FAMILIES) {
    it(`${architecture} in f32, as 1, 2 and 4 slices: to the rounding of f32`, () => {
      const path = writeModel(folder, architecture, tinyModel(shapeOf(architecture)));
      for (const worldSize of [1, 2, 4]) {
        assertEqual(path, worldSize, EXACT, { exactAttention: true });
        assertEqual(path, worldSize, ROUNDED);
      }
    });
  }

  /** Slices of whole blocks in every format: 256 numbers. */
  const blocks = { layers: 2, hiddenSize: 256, heads: 16, kvHeads: 4, headSize: 64, feedForwardSize: 1024 };
  /** Of Qwen2 files the heads are as wide as the hidden state. */
  const blocksOfQwen2 = { ...blocks, hiddenSize: 512, heads: 8, feedForwardSize: 512 };
  const small = { ...blocks, heads: 4, feedForwardSize: 256 };
  const formats: readonly StoredFormat[] = ['f16', 'bf16', 'q8_0', 'q4_0', 'q4_K', 'q5_K', 'q6_K'];
  for (const format of formats) {
    it(`in ${format}, as 2 and 4 slices`, () => {
      for (const architecture of FAMILIES) {
        const hasBlocks = format.endsWith('_K');
        const sizes = architecture === 'qwen2' ? blocksOfQwen2 : hasBlocks ? blocks : small;
        const path = writeModel(
          folder,
          `${architecture}-${format}`,
          quantisedModel(architecture, format, sizes),
        );
        assertEqual(path, 2, QUANTISED);
        if (architecture !== 'qwen2' || !hasBlocks) assertEqual(path, 4, QUANTISED);
      }
    });
  }

  it('the embedded model says the same at temperature 0, to the token', () => {
    const modelPath = join(packageRoot(), 'models', 'shoal-guide.gguf');
    const options = { modelPath, ...TEST_CAPACITY, batchRows: 128, cells: 512 };
    const whole = openLlamaModel(options);
    try {
      for (const worldSize of [2, 4]) {
        const slices = threads.open(worldSize, options);
        try {
          const counts = QUESTIONS.map((question) => {
            const prompt = promptOf(whole, question);
            const expected = answer(whole.engine, prompt, whole.tokenizer.endTokens);
            assert.deepEqual(answer(slices, prompt, whole.tokenizer.endTokens), expected);
            return expected.length;
          });
          assert.ok(counts.reduce((sum, count) => sum + count) >= 64);
        } finally {
          slices.close();
        }
      }
    } finally {
      whole.engine.close();
    }
  });

  it('embeddings that are the output matrix as well, and a vocabulary that does not divide', () => {
    for (const vocabularySize of [288, 301]) {
      const model = tinyModel(shapeOf('qwen3', { tied: true, vocabularySize }));
      const path = writeModel(folder, `tied-${vocabularySize}`, model);
      for (const worldSize of [2, 4]) assertEqual(path, worldSize, EXACT, { exactAttention: true });
    }
  });

  const scaled = (name: string, entries: readonly (readonly [string, WritableMetadata])[], more = {}) =>
    it(`rotation: ${name}`, () => {
      for (const architecture of FAMILIES) {
        const model = tinyModel(shapeOf(architecture, more));
        const metadata = [
          ...model.metadata,
          ...entries.map(([key, value]) => [`${architecture}.${key}`, value] as const),
        ];
        const path = writeModel(folder, `${architecture}-${name}`, { ...model, metadata });
        assertEqual(path, 2, EXACT, { exactAttention: true });
      }
    });
  scaled('linear', [
    ['rope.scaling.type', { type: 'string', value: 'linear' }],
    ['rope.scaling.factor', { type: 'float32', value: 4 }],
  ]);
  scaled('yarn', [
    ['rope.scaling.type', { type: 'string', value: 'yarn' }],
    ['rope.scaling.factor', { type: 'float32', value: 4 }],
    ['rope.scaling.original_context_length', { type: 'uint32', value: 16 }],
  ]);
  scaled('another base', [], { ropeBase: 1_000_000 });

  it('rotation: factors of Llama 3, in a tensor of their own', () => {
    const model = tinyModel(shapeOf('llama'));
    const factors = Float32Array.from({ length: 8 }, (_, index) => 1 + index / 2);
    const tensors = [
      ...model.tensors,
      { name: 'rope_freqs.weight', type: 'f32' as const, dims: [8], data: new Uint8Array(factors.buffer) },
    ];
    const path = writeModel(folder, 'factors', { ...model, tensors });
    for (const worldSize of [2, 4]) assertEqual(path, worldSize, EXACT, { exactAttention: true });
  });
});

describe('R62: the comparison can fail', () => {
  const path = writeModel(folder, 'perturbed', tinyModel(shapeOf('llama')));
  for (const [rank, atSum] of [
    [0, 0],
    [1, 3],
    // The last: its number is a logit.
    [1, 6],
  ] as const) {
    it(`a part of rank ${rank}, changed before sum ${atSum}, is seen`, () => {
      withBoth(path, 2, { exactAttention: true }, (whole, slices) => {
        const rows = rowsOf([1, 2, 3], 0, 0, false).with(2, { token: 3, position: 2, sequence: 0 });
        const expected = compute(whole, rows)[0] as Float32Array;
        slices.perturb(rank, { atSum, by: 0.01 });
        assert.ok(largestDifference(compute(slices, rows)[0] as Float32Array, expected) > 1e-4);
      });
    });
  }
});

describe('R64: ending a step', () => {
  const path = writeModel(folder, 'aborted', tinyModel(shapeOf('qwen3')));
  it('a flag that is set on any rank ends the step on all of them, and nothing has changed', () => {
    withBoth(path, 4, {}, (_, slices) => {
      compute(slices, rowsOf([5, 6, 7], 0));
      const undisturbed = compute(slices, rowsOf([9], 0, 3));
      slices.truncate(0, 3);
      for (const flag of [slices.abortFlag, ...slices.abortFlags]) {
        flag[0] = 1;
        assert.deepEqual(slices.step(stepInput(rowsOf([9], 0, 3))), { kind: 'aborted' });
        assert.deepEqual(slices.step(stepInput(rowsOf([1, 2], 1))), { kind: 'aborted' });
        flag[0] = 0;
        assert.deepEqual(compute(slices, rowsOf([9], 0, 3)), undisturbed);
        slices.truncate(0, 3);
      }
    });
  });
});

function refused(model: WritableGguf, name: string, worldSize: number, pattern: RegExp): void {
  const path = writeModel(folder, name, model);
  assert.throws(() => threads.open(worldSize, { modelPath: path, ...TEST_CAPACITY }), {
    code: 'sharding_unsupported',
    message: pattern,
  });
}

describe('R38: what does not divide is refused', () => {
  it('naming the dimension, its size and the block', () => {
    const model = tinyModel(shapeOf('llama'));
    refused(model, 'three', 3, /into 3 slices: its 4 KV heads do not divide by 3\./);
    refused(model, 'eight', 8, /its 4 KV heads do not divide by 8\./);
    const sizes = { layers: 1, hiddenSize: 256, heads: 4, kvHeads: 2, headSize: 64, feedForwardSize: 512 };
    refused(
      quantisedModel('qwen3', 'q4_K', sizes),
      'blocks',
      2,
      /its 4 attention heads do not divide by 2 in blocks of 4\./,
    );
  });

  it('of families and tensors that are not known', () => {
    const model = tinyModel(shapeOf('llama'));
    const metadata = [...model.metadata].map(
      ([key, value]) =>
        (key === 'general.architecture'
          ? [key, { type: 'string', value: 'gemma' }]
          : [key.replace(/^llama\./, 'gemma.'), value]) as readonly [string, WritableMetadata],
    );
    refused({ ...model, metadata }, 'gemma', 2, /the family `gemma` is not one of llama/);
    const data = new Uint8Array(64 * 4);
    const tensors = [
      ...model.tensors,
      { name: 'blk.0.ffn_gate_inp.weight', type: 'f32' as const, dims: [64], data },
    ];
    refused({ ...model, tensors }, 'mixture', 2, /how to divide its tensor `blk.0.ffn_gate_inp.weight`/);
  });
});
