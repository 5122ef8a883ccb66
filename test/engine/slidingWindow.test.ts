/** Models whose layers look back a few positions only: cutting and copying must not lose what a later row sees. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { WritableGguf } from '../../src/models/gguf/writer.js';
import {
  compute,
  largestDifference,
  rowsOf,
  temporaryFolder,
  tinyModel,
  tinyShape,
  withEngine,
  writeModel,
} from './support.js';

const WINDOW = 4;
const TOLERANCE = 1e-4;
const TOKENS = Array.from({ length: 24 }, (_, index) => (index * 29 + 5) % 200);
const folder = temporaryFolder();
const path = writeModel(folder, 'gemma3', slidingWindowModel(WINDOW));

/** Gemma 3: a tiny Qwen 3 with two more norms in each layer, and a window in five of six layers. */
function slidingWindowModel(window: number): WritableGguf {
  const shape = tinyShape('qwen3', { layers: 7, tied: true });
  const { metadata, tensors } = tinyModel(shape);
  const norm = (name: string) => ({
    name,
    dims: [shape.hiddenSize],
    type: 'f32' as const,
    data: new Uint8Array(new Float32Array(shape.hiddenSize).fill(1).buffer),
  });
  return {
    metadata: [
      ...[...metadata].map(([key, value]) =>
        key === 'general.architecture'
          ? ([key, { type: 'string', value: 'gemma3' }] as const)
          : ([key.replace('qwen3.', 'gemma3.'), value] as const),
      ),
      ['gemma3.attention.sliding_window', { type: 'uint32', value: window }],
    ],
    tensors: [
      ...tensors,
      ...Array.from({ length: shape.layers }, (_, layer) => [
        norm(`blk.${layer}.post_attention_norm.weight`),
        norm(`blk.${layer}.post_ffw_norm.weight`),
      ]).flat(),
    ],
  };
}

it('R65: a sequence cut back behind its window goes on as if it had never been longer', () => {
  const branch = [...TOKENS.slice(0, 10), 77, 78, 79];
  let expected: Float32Array | undefined;
  withEngine(path, {}, (engine) => {
    expected = compute(engine, rowsOf(branch, 0)).at(-1);
  });
  withEngine(path, {}, (engine) => {
    for (const [position, token] of TOKENS.entries()) compute(engine, rowsOf([token], 0, position));
    engine.copyPrefix(0, 1, 10);
    assert.equal(engine.truncate(0, 10), true);
    for (const sequence of [0, 1]) {
      const logits = compute(engine, rowsOf([77, 78, 79], sequence, 10)).at(-1);
      assert.ok(largestDifference(logits as Float32Array, expected as Float32Array) <= TOLERANCE);
    }
  });
});

it('R65: the window is real: without it the same weights give other logits', () => {
  const unbounded = writeModel(folder, 'unbounded', slidingWindowModel(TOKENS.length * 2));
  const last: Float32Array[] = [];
  for (const file of [path, unbounded]) {
    withEngine(file, {}, (engine) => {
      last.push(compute(engine, rowsOf(TOKENS, 0)).at(-1) as Float32Array);
    });
  }
  assert.ok(largestDifference(last[0] as Float32Array, last[1] as Float32Array) > 10 * TOLERANCE);
});
