import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { philox, seedKey, uniform } from './random.js';

test('Philox4x32-10 gives the published numbers of its authors', () => {
  const ones = 0xffffffff;
  assert.deepEqual(philox([0, 0, 0, 0], [0, 0]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  assert.deepEqual(
    philox([ones, ones, ones, ones], [ones, ones]),
    [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  );
  assert.deepEqual(
    philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]),
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  );
});

test('every seed from 0 to 2^64 has a key, and choice i has the key of seed + i', () => {
  assert.deepEqual(seedKey(0, 0), [0, 0]);
  assert.deepEqual(seedKey(42, 3), [45, 0]);
  assert.deepEqual(seedKey(2 ** 32, 0), [0, 1]);
  assert.deepEqual(seedKey(2 ** 60, 1), [1, 2 ** 28], 'a number above 2^53 still has different choices');
  assert.deepEqual(seedKey(2 ** 64, 0), [0, 0]);
  assert.deepEqual(seedKey(-1, 0), [0xffffffff, 0xffffffff]);
  fc.assert(
    fc.property(fc.nat(), fc.nat(1000), (seed, choice) => {
      assert.deepEqual(seedKey(seed, choice), seedKey(seed + choice, 0));
    }),
  );
});

test('random numbers lie in [0, 1) and fill it evenly', () => {
  const buckets = new Array<number>(20).fill(0);
  const draws = 20_000;
  for (let position = 0; position < draws; position++) {
    const value = uniform(seedKey(7, 0), position);
    assert.ok(value >= 0 && value < 1);
    buckets[Math.floor(value * 20)]! += 1;
  }
  const expected = draws / 20;
  const chiSquare = buckets.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  assert.ok(chiSquare < 43.8, `chi-square ${chiSquare} of 19 degrees of freedom (p = 0.001)`);
});
