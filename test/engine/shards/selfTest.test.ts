/** The self-test of a plan's shards, before any of them is used. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { shardSelfTest } from '../../../src/engine/selfTest/shardSelfTest.js';
import { temporaryFolder, tinyModel, tinyShape, writeModel } from '../support.js';

const folder = temporaryFolder();
const path = writeModel(folder, 'plan', tinyModel(tinyShape('qwen3', { layers: 8 })));
const ranges = (...boundaries: number[]) =>
  boundaries.slice(1).map((end, index) => ({ first: boundaries[index] as number, end }));
const isUnsupported = { code: 'sharding_unsupported' };

describe('R62: the self-test of shards', () => {
  it('passes for legal plans of two, three and eight shards, again and again', () => {
    for (const plan of [ranges(0, 4, 8), ranges(0, 1, 7, 8), ranges(0, 1, 2, 3, 4, 5, 6, 7, 8)]) {
      shardSelfTest({ modelPath: path, shards: plan });
    }
  });

  it('takes the likeness from the file: many layers, and layers that are not alike', () => {
    const model = tinyModel(tinyShape('qwen3', { layers: 60, tied: true }));
    shardSelfTest({ modelPath: writeModel(folder, 'deep', model), shards: ranges(0, 20, 40, 60) });
  });

  it('refuses plans that are not the whole model', () => {
    for (const plan of [
      [],
      ranges(0, 4),
      ranges(4, 8),
      [...ranges(0, 4), ...ranges(5, 8)],
      ranges(0, 4, 9),
    ]) {
      assert.throws(() => shardSelfTest({ modelPath: path, shards: plan }), isUnsupported);
    }
  });

  it('is bounded in time', () => {
    const plan = ranges(0, 4, 8);
    assert.throws(() => shardSelfTest({ modelPath: path, shards: plan, timeoutMs: 0 }), {
      ...isUnsupported,
      message: /longer than 0 ms/,
    });
  });

  it('a cut where the kinds of layers do not repeat, or of an unknown architecture, does not pass', () => {
    const model = tinyModel(tinyShape('llama', { layers: 8 }));
    for (const [architecture, plan] of [
      ['gemma2', ranges(0, 3, 8)],
      ['bloom', ranges(0, 4, 8)],
      ['mine', ranges(0, 4, 8)],
    ] as const) {
      const metadata = [...model.metadata].map(([key, value]) =>
        key === 'general.architecture'
          ? ([key, { type: 'string', value: architecture }] as const)
          : ([key.replace(/^llama\./, `${architecture}.`), value] as const),
      );
      const file = writeModel(folder, architecture, { ...model, metadata });
      assert.throws(() => shardSelfTest({ modelPath: file, shards: plan }), isUnsupported);
    }
  });

  it('a missing file is `model_not_found`', () => {
    assert.throws(() => shardSelfTest({ modelPath: `${path}.not`, shards: ranges(0, 8) }), {
      code: 'model_not_found',
    });
  });
});
