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
  tokensByNode: new Map(),
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

test('tokens are those since the sample before, whatever node comes, goes and begins anew', () => {
  const step = fc.record({
    node: fc.constantFrom('a', 'b', 'c'),
    added: fc.nat(50),
    change: fc.constantFrom('works', 'is started again', 'goes'),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const tokens = new Map<string, number>();
      const hour = new LastHour({ read: () => ({ ...quiet, tokensByNode: new Map(tokens) }), now: () => 0 });
      hour.sample();
      let expected = 0;
      for (const { node, added, change } of steps) {
        const known = tokens.get(node);
        if (change === 'goes') tokens.delete(node);
        // Of a node that is new here, nobody knows since when it has been at work.
        else if (known === undefined) tokens.set(node, added);
        else if (change === 'works' || added < known) {
          tokens.set(node, change === 'works' ? known + added : added);
          expected += added;
        }
        hour.sample();
      }
      const told = hour.samples.reduce((sum, { generatedTokens }) => sum + generatedTokens, 0);
      assert.equal(told, expected);
    }),
  );
});
