/** The last hour: bounded, and a sum of its samples is what happened. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from '../shared/limits.js';
import { type HourReading, LastHour } from './lastHour.js';

const quiet: HourReading = {
  running: 0,
  queued: 0,
  memoryUsedBytes: 3,
  memoryTotalBytes: 8,
  tokensByRunner: new Map(),
};

test('R74: a sample has what was counted since the one before, and what is so now', () => {
  let reading = quiet;
  let nowMs = 1_000;
  const hour = new LastHour({ read: () => reading, now: () => nowMs });
  hour.sample();
  hour.count('completed', 2);
  hour.count('failed');
  reading = { ...quiet, running: 4, queued: 1 };
  nowMs = 11_000;
  hour.sample();
  hour.count('cancelled');
  nowMs = 12_000;
  assert.deepEqual(
    hour.samples.map(({ atMs, completed, failed, cancelled, running }) => [
      atMs,
      completed,
      failed,
      cancelled,
      running,
    ]),
    [
      [1_000, 0, 0, 0, 0],
      [11_000, 2, 1, 0, 4],
      [12_000, 0, 0, 1, 4],
    ],
  );
});

test('no more is kept than an hour', () => {
  const hour = new LastHour({ read: () => quiet, now: () => 0 });
  for (let step = 0; step < LIMITS.hourSamples * 2; step += 1) hour.sample();
  assert.equal(hour.samples.length, LIMITS.hourSamples + 1);
});

test('tokens are those since the sample before, whatever comes, goes and begins anew', () => {
  const [added, all] = [fc.nat(50), fc.constantFrom('a', 'b', 'c')];
  const step = fc.record({ runner: all, added, restarts: fc.boolean(), leaves: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const tokens = new Map<string, number>();
      const hour = new LastHour({
        read: () => ({ ...quiet, tokensByRunner: new Map(tokens) }),
        now: () => 0,
      });
      hour.sample();
      let expected = 0;
      for (const { runner, added, restarts, leaves } of steps) {
        const known = tokens.get(runner);
        if (leaves) tokens.delete(runner);
        // Of a runner that is new here, nobody knows since when it has been at work.
        else if (known === undefined) tokens.set(runner, added);
        else if (restarts && added < known) {
          tokens.set(runner, added);
          expected += added;
        } else {
          tokens.set(runner, known + added);
          expected += added;
        }
        hour.sample();
      }
      const told = hour.samples.reduce((sum, { generatedTokens }) => sum + generatedTokens, 0);
      assert.equal(told, expected);
    }),
  );
});
