/** The engine against an independent forward pass in double precision. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { referenceLogits } from './reference.js';
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

/** Shares of the largest logit: single precision against double, */
const EXACT_TOLERANCE = 3e-6;
/** and keys, values and their sums rounded to f16. */
const F16_TOLERANCE = 3e-3;
const TOKENS = [5, 250, 17, 17, 99, 3, 120, 64, 2, 201, 33];

const folder = temporaryFolder();
const shapes = (['llama', 'qwen2', 'qwen3'] as const).flatMap((architecture) => [
  tinyShape(architecture, { tied: false, layers: 3 }),
  tinyShape(architecture, { tied: true, kvHeads: 1, ropeBase: 1_000_000, seed: 7 }),
  tinyShape(architecture, { kvHeads: 4, seed: 9 }),
]);

for (const [index, shape] of shapes.entries()) {
  const name = `${shape.architecture}, ${shape.heads}/${shape.kvHeads} heads, ${shape.tied ? 'tied' : 'untied'}`;
  describe(`R61, R62: ${name}`, () => {
    const model = tinyModel(shape);
    const path = writeModel(folder, `shape-${index}`, model);
    const expected = referenceLogits(shape, model.tensors, TOKENS);
    const largest = Math.max(...expected.flatMap((row) => [...row].map(Math.abs)));

    for (const [exactAttention, tolerance] of [
      [true, EXACT_TOLERANCE],
      [false, F16_TOLERANCE],
    ] as const) {
      const cache = exactAttention ? 'f32 cache' : 'f16 cache and flash attention';
      it(`logits equal the reference within ${tolerance} of the largest (${cache})`, () => {
        withEngine(path, { exactAttention }, (engine) => {
          const actual = compute(engine, rowsOf(TOKENS));
          const differences = actual.map((logits, row) =>
            largestDifference(logits, expected[row] as Float64Array),
          );
          assert.ok(
            Math.max(...differences) <= tolerance * largest,
            `${differences.join(', ')} of ${largest}`,
          );
        });
      });
    }

    it('logits do not depend on how the prompt is cut into chunks', () => {
      for (const chunk of [1, 2, 5]) {
        withEngine(path, { exactAttention: true }, (engine) => {
          for (let from = 0; from < TOKENS.length; from += chunk) {
            const actual = compute(engine, rowsOf(TOKENS.slice(from, from + chunk), 0, from));
            for (const [row, logits] of actual.entries()) {
              assert.ok(
                largestDifference(logits, expected[from + row] as Float64Array) <= EXACT_TOLERANCE * largest,
              );
            }
          }
        });
      }
    });
  });
}

it('R62: the comparison can fail: another weight, another result', () => {
  const shape = tinyShape('qwen3');
  const path = writeModel(folder, 'other-seed', tinyModel({ ...shape, seed: 2 }));
  const expected = referenceLogits(shape, tinyModel(shape).tensors, TOKENS);
  withEngine(path, {}, (engine) => {
    const actual = compute(engine, rowsOf(TOKENS));
    assert.ok(largestDifference(actual[0] as Float32Array, expected[0] as Float64Array) > 1);
  });
});
