import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TIMES } from '../../shared/limits.js';
import { attemptDelayMs, isDue } from './backoff.js';

const { attemptBaseMs, attemptMaxMs } = TIMES;

test('R27: each delay is twice the one before up to the longest, and jitter takes off a quarter at most', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2_000 }), fc.string(), (failures, subject) => {
      const fullMs = Math.min(attemptMaxMs, attemptBaseMs * 2 ** (failures - 1));
      const delayMs = attemptDelayMs(failures, subject);
      assert.ok(delayMs <= fullMs && delayMs >= 0.75 * fullMs);
      assert.equal(attemptDelayMs(failures, subject), delayMs);
    }),
  );
});

test('R27: what failed together comes back apart', () => {
  const delays = Array.from({ length: 100 }, (_, at) => attemptDelayMs(3, `instance-${at}`));
  assert.ok(new Set(delays).size > 90);
  assert.ok(Math.max(...delays) - Math.min(...delays) > 0.2 * attemptBaseMs * 4);
});

test('R27: an attempt is due at its time, and no clock that jumps makes it wait for longer than was said', () => {
  assert.ok(isDue(null, 0));
  fc.assert(
    fc.property(fc.nat(), fc.nat(100_000), fc.integer(), (saidAt, delayMs, now) => {
      const attempt = { at: saidAt + delayMs, saidAt };
      assert.equal(isDue(attempt, now), now >= attempt.at || now < saidAt);
      // Whatever the clock says, it is never further from its time than the delay.
      if (!isDue(attempt, now)) assert.ok(attempt.at - now <= delayMs);
    }),
  );
});
