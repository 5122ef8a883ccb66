/** A slice over time: long contexts, ranks that are lost, many steps and many loads. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Engine, SliceSums } from '../../../src/engine/contract.js';
import { openLlamaModel } from '../../../src/engine/llama/open.js';
import { openTensorSlice } from '../../../src/engine/llama/slice/open.js';
import { SlicesTogether } from '../../../src/engine/selfTest/slicesTogether.js';
import { ShoalError } from '../../../src/shared/errors.js';
import {
  compute,
  largestDifference,
  rowsOf,
  stepInput,
  TEST_CAPACITY,
  temporaryFolder,
  tinyModel,
  tinyShape,
  writeModel,
} from '../support.js';

const path = writeModel(temporaryFolder(), 'life', tinyModel(tinyShape('llama', { layers: 3 })));
const options = { modelPath: path, ...TEST_CAPACITY };
const allocate = (length: number): Float32Array =>
  new Float32Array(new SharedArrayBuffer(length * Float32Array.BYTES_PER_ELEMENT));

function withRank(sum: SliceSums['sum'], run: (engine: Engine) => void): void {
  const engine = openTensorSlice({ ...options, rank: 0, worldSize: 2, allReduce: { allocate, sum } });
  try {
    run(engine);
  } finally {
    engine.close();
  }
}

it('R62: a context of several chunks is that of the whole model', () => {
  const exact = { ...options, exactAttention: true };
  const { engine: whole } = openLlamaModel(exact);
  const slices = new SlicesTogether(2, (rank, allReduce) =>
    openTensorSlice({ ...exact, rank, worldSize: 2, allReduce }),
  );
  try {
    const tokens = Array.from({ length: 250 }, (_, index) => (index * 31 + 5) % 250);
    for (let from = 0; from < 250; from += TEST_CAPACITY.batchRows) {
      const rows = rowsOf(tokens.slice(from, from + TEST_CAPACITY.batchRows), 0, from);
      const expected = compute(whole, rows);
      const result = slices.step(stepInput(rows));
      assert.ok(result.kind === 'logits');
      for (const [row, logits] of expected.entries()) {
        assert.ok(largestDifference(logits, result.rows[row] as Float32Array) < 5e-5);
      }
    }
  } finally {
    slices.close();
    whole.close();
  }
});

it('R45: a lost rank ends the step with its fault, wherever that is, and leaves no cell', () => {
  let left = Number.POSITIVE_INFINITY;
  withRank(
    () => {
      left -= 1;
      if (left < 0) throw new ShoalError('node_lost', 'rank 1 is lost');
    },
    (engine) => {
      compute(engine, rowsOf([5, 6, 7], 0));
      const undisturbed = compute(engine, rowsOf([9], 0, 3));
      engine.truncate(0, 3);
      // Two sums in each of three layers, and one for the logits.
      for (let atSum = 0; atSum < 7; atSum += 1) {
        left = atSum;
        assert.throws(() => engine.step(stepInput(rowsOf([9], 0, 3))), { code: 'node_lost' });
        left = Number.POSITIVE_INFINITY;
        assert.deepEqual(compute(engine, rowsOf([9], 0, 3)), undisturbed);
        engine.truncate(0, 3);
      }
      left = 7;
      assert.equal(engine.step(stepInput(rowsOf([9], 0, 3))).kind, 'logits');
    },
  );
});

it('R42: a thousand steps and twenty loads leave the memory as it was', () => {
  const step = (engine: Engine): void => {
    engine.truncate(0, 0);
    compute(engine, rowsOf([1, 2, 3, 4], 0));
  };
  const load = (): void => withRank(() => undefined, step);
  withRank(
    () => undefined,
    (engine) => {
      for (let warm = 0; warm < 300; warm += 1) step(engine);
      for (let warm = 0; warm < 5; warm += 1) load();
      const before = process.memoryUsage.rss();
      for (let count = 0; count < 1000; count += 1) step(engine);
      for (let count = 0; count < 20; count += 1) load();
      const grown = process.memoryUsage.rss() - before;
      assert.ok(grown < GROWTH_BYTES, `grown by ${grown} bytes`);
    },
  );
});

/** What the garbage collector may not have come to. */
const GROWTH_BYTES = 24 * 1024 * 1024;
