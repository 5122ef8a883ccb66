/** Shards of model files as users have them: equal to the whole model in every number format, without a copy. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Engine, EngineOptions } from '../../../src/engine/contract.js';
import { openLlamaModel } from '../../../src/engine/llama/open.js';
import { openLlamaShard } from '../../../src/engine/llama/shard/open.js';
import { pipelineTrial } from '../../../src/engine/selfTest/pipelineTrial.js';
import { type WritableGguf, writeGguf } from '../../../src/models/gguf/writer.js';
import { ShoalError } from '../../../src/shared/errors.js';
import {
  compute,
  rowsOf,
  stepInput,
  TEST_CAPACITY,
  temporaryFolder,
  tinyModel,
  tinyShape,
  writeModel,
} from '../support.js';
import { tinyMamba } from '../tinyMamba.js';
import { FORMATS, quantisedModel } from './quantisedModel.js';

const folder = temporaryFolder();
const LAYERS = 6;
const CUTS = [[3], [2, 4], [1, 5]];

function openShard(modelPath: string, first: number, end: number, more: Partial<EngineOptions> = {}): Engine {
  return openLlamaShard({ modelPath, ...TEST_CAPACITY, ...more, layers: { first, end } });
}

/** Opens the whole model and its shards, runs, and closes whatever happens. */
function withPipeline(
  modelPath: string,
  cuts: readonly number[],
  more: Partial<EngineOptions>,
  run: (whole: Engine, shards: readonly Engine[]) => void,
  layers = LAYERS,
): void {
  const boundaries = [0, ...cuts, layers];
  const engines: Engine[] = [];
  try {
    engines.push(openLlamaModel({ modelPath, ...TEST_CAPACITY, ...more }).engine);
    for (const [index, end] of boundaries.slice(1).entries()) {
      engines.push(openShard(modelPath, boundaries[index] as number, end, more));
    }
    run(engines[0] as Engine, engines.slice(1));
  } finally {
    for (const engine of engines) engine.close();
  }
}

function assertEqual(modelPath: string, cuts: readonly number[], more: Partial<EngineOptions> = {}): void {
  withPipeline(modelPath, cuts, more, (whole, shards) => {
    const result = pipelineTrial(whole, shards);
    assert.equal(result.different, 0, `cut before ${cuts.join(' and ')}: of ${result.compared}`);
    assert.ok(result.compared > 5000);
    assert.ok(result.changedByPerturbation > 0);
  });
}

describe('R62: the same logits, bit for bit, whole and cut in two and three', () => {
  for (const architecture of ['llama', 'qwen3'] as const) {
    for (const format of FORMATS) {
      it(`${architecture} in ${format}`, () => {
        const path = writeModel(folder, `${architecture}-${format}`, quantisedModel(architecture, format));
        for (const cuts of CUTS) assertEqual(path, cuts);
      });
    }
  }

  it('embeddings that are the output matrix as well', () => {
    for (const format of ['q8_0', 'q4_0'] as const) {
      const path = writeModel(folder, `tied-${format}`, quantisedModel('qwen3', format, { tied: true }));
      assertEqual(path, [2]);
    }
  });

  it('with several threads, with f32 keys and values, and of a model with biases', () => {
    const path = writeModel(folder, 'biases', tinyModel(tinyShape('qwen2', { layers: LAYERS })));
    assertEqual(path, [3], { threads: 2, polling: 0 });
    assertEqual(path, [2, 4], { exactAttention: true });
  });

  it('a recurrent model, with sequences in any order', () => {
    const path = writeModel(folder, 'mamba', tinyMamba());
    withPipeline(
      path,
      [1],
      {},
      (whole, shards) => {
        assert.equal(pipelineTrial(whole, shards).different, 0);
        const engines = [whole, ...shards];
        for (const engine of engines) for (let slot = 0; slot < 4; slot += 1) engine.truncate(slot, 0);
        const rows = [...rowsOf([5, 6], 3), ...rowsOf([7], 2), ...rowsOf([8], 0), ...rowsOf([9, 10, 11], 1)];
        const order = [0, 3, 4, 1, 2, 5, 6].map((index) => rows[index] as (typeof rows)[number]);
        const expected: Float32Array[] = [];
        for (const sequence of [0, 1, 2, 3]) {
          const own = order.flatMap((row, index) => (row.sequence === sequence ? [index] : []));
          const logits = compute(
            whole,
            own.map((index) => order[index] as (typeof rows)[number]),
          );
          for (const [index, row] of own.entries()) expected[row] = logits[index] as Float32Array;
        }
        const input = stepInput(order);
        const hidden = (shards[0] as Engine).step(input);
        assert.ok(hidden.kind === 'hidden');
        const result = (shards[1] as Engine).step({ ...input, tokens: null, hidden: hidden.hidden });
        assert.ok(result.kind === 'logits');
        for (const [row, logits] of result.rows.entries()) {
          const largest = Math.max(
            ...logits.map((value, i) => Math.abs(value - (expected[row]?.[i] ?? NaN))),
          );
          assert.ok(largest < 1e-4, `row ${row} is off by ${largest}`);
        }
      },
      2,
    );
  });

  it('a model in several files', () => {
    const path = writeParts('parts', quantisedModel('qwen3', 'q8_0'), 3);
    assertEqual(path, [2, 4]);
  });
});

/** Writes a model as llama.cpp splits one, and returns the path of the first part. */
function writeParts(name: string, model: WritableGguf, parts: number): string {
  const each = Math.ceil(model.tensors.length / parts);
  const paths = Array.from({ length: parts }, (_, part) => {
    const number = (value: number) => String(value).padStart(5, '0');
    const path = join(folder, `${name}-${number(part + 1)}-of-${number(parts)}.gguf`);
    writeGguf(path, {
      metadata: [
        ...(part === 0 ? model.metadata : []),
        ['split.no', { type: 'uint16', value: part }],
        ['split.count', { type: 'uint16', value: parts }],
        ['split.tensors.count', { type: 'int32', value: model.tensors.length }],
      ],
      tensors: model.tensors.slice(part * each, (part + 1) * each),
    });
    return path;
  });
  return paths[0] as string;
}

describe('the contract of a shard', () => {
  const path = writeModel(folder, 'contract', tinyModel(tinyShape('qwen3', { layers: LAYERS })));
  const isRefused = (code: string) => (error: unknown) => error instanceof ShoalError && error.code === code;

  it('R62: says which layers it has, and what goes in and comes out', () => {
    const shard = openShard(path, 2, 4);
    try {
      const { architecture, firstLayer, endLayer, layerCount, hiddenSize, vocabularySize } = shard.shape;
      assert.deepEqual(
        { architecture, firstLayer, endLayer, layerCount, hiddenSize, vocabularySize },
        {
          architecture: 'qwen3',
          firstLayer: 2,
          endLayer: 4,
          layerCount: 6,
          hiddenSize: 32,
          vocabularySize: 288,
        },
      );
      const input = { ...stepInput(rowsOf([1, 2, 3])), tokens: null };
      const result = shard.step({ ...input, hidden: new Float32Array(3 * 32).fill(0.5) });
      assert.ok(result.kind === 'hidden');
      assert.equal(result.hidden.length, 3 * 32);
      assert.ok(result.hidden.every(Number.isFinite));
    } finally {
      shard.close();
    }
  });

  it('R66: rows of the wrong kind or size are refused, and nothing has changed', () => {
    const [first, later] = [openShard(path, 0, 3), openShard(path, 3, 6)];
    try {
      const tokens = stepInput(rowsOf([1, 2]));
      const hidden = { ...tokens, tokens: null, hidden: new Float32Array(2 * 32) };
      assert.throws(() => first.step(hidden), isRefused('engine_error'));
      assert.throws(() => later.step(tokens), isRefused('engine_error'));
      assert.throws(() => later.step({ ...hidden, hidden: new Float32Array(63) }), isRefused('engine_error'));
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
        const poisoned = new Float32Array(2 * 32);
        poisoned[40] = value;
        assert.throws(() => later.step({ ...hidden, hidden: poisoned }), isRefused('engine_error'));
      }
      assert.throws(
        () => first.step({ ...tokens, tokens: Int32Array.of(1, 288) }),
        isRefused('engine_error'),
      );
      assert.equal(first.step(tokens).kind, 'hidden');
      assert.equal(later.step(hidden).kind, 'logits');
    } finally {
      first.close();
      later.close();
    }
  });

  it('R64: `aborted` and `no_room` leave a shard as it was', () => {
    const shard = openShard(path, 0, 3, { cells: 8 });
    try {
      assert.equal(shard.step(stepInput(rowsOf([1, 2, 3, 4], 0))).kind, 'hidden');
      shard.abortFlag[0] = 1;
      assert.deepEqual(shard.step(stepInput(rowsOf([5], 0, 4))), { kind: 'aborted' });
      shard.abortFlag[0] = 0;
      assert.deepEqual(shard.step(stepInput(rowsOf([1, 2, 3, 4, 5], 1))), { kind: 'no_room' });
      assert.equal(shard.step(stepInput(rowsOf([1, 2, 3, 4], 1))).kind, 'hidden');
    } finally {
      shard.close();
    }
  });

  it('R61: layers that may not be a shard are refused with the reason', () => {
    for (const [first, end] of [
      [0, 7],
      [3, 3],
      [4, 2],
      [-1, 3],
      [0.5, 3],
      [0, Number.NaN],
    ] as const) {
      assert.throws(() => openShard(path, first, end), isRefused('sharding_unsupported'));
    }
    const model = tinyModel(tinyShape('llama', { layers: LAYERS }));
    const metadata = [...model.metadata].map(
      ([key, value]): typeof model.metadata extends Iterable<infer E> ? E : never =>
        key === 'general.architecture'
          ? [key, { type: 'string', value: 'bloom' }]
          : [key.replace('llama.', 'bloom.'), value],
    );
    const bloom = writeModel(folder, 'bloom', { ...model, metadata });
    assert.throws(() => openShard(bloom, 0, 3), { code: 'sharding_unsupported', message: /bloom/ });
  });

  it('R49: progress goes from 0 to 1, and false ends the load', () => {
    const seen: number[] = [];
    openShard(path, 0, 3, { onProgress: (fraction) => seen.push(fraction) > 0 }).close();
    assert.deepEqual(
      seen,
      [...seen].sort((a, b) => a - b),
    );
    assert.equal(seen[0], 0);
    assert.equal(seen.at(-1), 1);
    for (const enough of [0, 0.3, 1]) {
      const onProgress = (fraction: number) => fraction < enough;
      assert.throws(() => openShard(path, 0, 3, { onProgress }), isRefused('cancelled'));
    }
  });

  it('R36: nothing of the file stays mapped or open after it is closed, also when loading failed', {
    skip: process.platform !== 'linux',
  }, () => {
    const uses = (): number => readFileSync('/proc/self/maps', 'latin1').split(path).length - 1;
    const shard = openShard(path, 0, 3);
    assert.ok(uses() > 0);
    shard.close();
    shard.close();
    assert.throws(() => openShard(path, 0, 3, { onProgress: () => false }));
    assert.throws(() => openShard(path, 0, 3, { cells: 0 }));
    assert.equal(uses(), 0);
  });
});
