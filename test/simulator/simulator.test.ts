/** The control plane under the simulator: seeds that once failed, some others, and that a seed is what it is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { REGRESSION_SEEDS } from './regressionSeeds.js';
import { replay, shrink } from './shrink.js';
import { simulate } from './simulation.js';
import { harmed } from './testing.js';

const PROMISES = 'R1-R4, R8, R11, R13-R16, R20-R23, R25-R35, R56-R59, R82';

for (const { found, ...options } of REGRESSION_SEEDS) {
  test(`R82: seed ${options.seed} keeps all promises. It found: ${found}`, () => {
    assert.equal(simulate(options).violation, null, replay(options));
  });
}

test(`${PROMISES}: all invariants hold in a number of schedules`, () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const options = { seed: 7_000 + seed, minutes: 1 };
    assert.equal(simulate(options).violation, null, replay(options));
  }
});

test('R82: the same seed is the same course of events, input by input', () => {
  for (const seed of [3, 4, 5]) {
    const [first, second] = [1, 2].map(() => simulate({ seed, minutes: 1 }));
    assert.deepEqual(first, second);
  }
  assert.notEqual(
    simulate({ seed: 3, minutes: 1 }).fingerprint,
    simulate({ seed: 4, minutes: 1 }).fingerprint,
  );
});

test('R82: an exception in the core is a violation with its own name', () => {
  const makeCore = harmed({
    input: () => {
      throw new RangeError('out of range');
    },
  });
  assert.equal(simulate({ seed: 1, minutes: 1 }, { makeCore }).violation?.invariant, 'no-exception');
});

test('R82: a failing seed is made smaller, and the words that replay it are whole', () => {
  const fails = (options: { readonly nodes?: number; readonly faults?: readonly string[] }) =>
    (options.nodes ?? 7) >= 2 && (options.faults ?? ['pause']).includes('pause');
  const smallest = shrink({ seed: 9, minutes: 4 }, fails);
  assert.deepEqual(smallest, { seed: 9, minutes: 1, nodes: 2, faults: ['pause'], declares: false });
  assert.equal(
    replay(smallest),
    'npm run simulate -- --seed 9 --seeds 1 --minutes 1 --nodes 2 --faults pause --no-declarations',
  );
});
