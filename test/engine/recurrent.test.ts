/** Recurrent models: the same contract, without cuts and copies. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ShoalError } from '../../src/shared/errors.js';
import {
  compute,
  largestDifference,
  type Row,
  rowsOf,
  stepInput,
  temporaryFolder,
  withEngine,
  writeModel,
} from './support.js';
import { tinyMamba } from './tinyMamba.js';

const path = writeModel(temporaryFolder(), 'mamba', tinyMamba());
/** Other orders of summation for other shapes of batch. */
const TOLERANCE = 1e-4;
const A = [5, 250, 17, 99, 3, 120];
const B = [64, 2, 201];

function alone(tokens: readonly number[]): Float32Array[] {
  let logits: Float32Array[] = [];
  withEngine(path, {}, (engine) => {
    logits = tokens.flatMap((token, position) => compute(engine, rowsOf([token], 0, position)));
  });
  return logits;
}

it('R61: logits come back in the order of the rows, however sequences are mixed', () => {
  const expected = { a: alone(A), b: alone(B) };
  const interleaved: Row[] = A.flatMap((token, position) => [
    { token, position, sequence: 2 },
    ...(position < B.length ? [{ token: B[position] as number, position, sequence: 1 }] : []),
  ]);
  withEngine(path, {}, (engine) => {
    const logits = compute(engine, interleaved);
    const seen = { a: 0, b: 0 };
    for (const [row, { sequence }] of interleaved.entries()) {
      const name = sequence === 2 ? 'a' : 'b';
      const reference = expected[name][seen[name]] as Float32Array;
      seen[name] += 1;
      assert.ok(largestDifference(logits[row] as Float32Array, reference) <= TOLERANCE, `row ${row}`);
    }
  });
});

it('R64: decodes beside a prefill chunk, with few outputs', () => {
  const expected = { a: alone(A), b: alone(B) };
  withEngine(path, {}, (engine) => {
    compute(engine, rowsOf(A.slice(0, -1), 3));
    const logits = compute(engine, [
      ...rowsOf(B.slice(0, -1), 0, 0, false),
      ...rowsOf(B.slice(-1), 0, B.length - 1),
      ...rowsOf(A.slice(-1), 3, A.length - 1),
    ]);
    assert.equal(logits.length, 2);
    assert.ok(largestDifference(logits[0] as Float32Array, expected.b.at(-1) as Float32Array) <= TOLERANCE);
    assert.ok(largestDifference(logits[1] as Float32Array, expected.a.at(-1) as Float32Array) <= TOLERANCE);
  });
});

it('R65: a part cannot be forgotten, the whole can', () => {
  const expected = alone(B);
  withEngine(path, {}, (engine) => {
    compute(engine, rowsOf(A, 0));
    assert.equal(engine.canTruncate, false);
    assert.equal(engine.truncate(0, 3), false);
    assert.throws(() => engine.copyPrefix(0, 1, 3), ShoalError);
    assert.equal(engine.truncate(0, 0), true);
    const logits = compute(engine, rowsOf(B, 0));
    assert.ok(largestDifference(logits.at(-1) as Float32Array, expected.at(-1) as Float32Array) <= TOLERANCE);
    assert.throws(() => engine.step(stepInput(rowsOf([1], 0, 0))), ShoalError);
  });
});
