import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { RunnerStatus } from './runnerLife.js';
import {
  judge,
  NEW_WATCH,
  type RunnerPulse,
  type RunnerWatch,
  WATCH_LIMITS,
  type WatchInput,
  watch,
} from './runnerWatch.js';

const IDLE: RunnerPulse = {
  counter: 1,
  stepRows: 0,
  slowestRowMs: 10,
  starvedMs: 0,
  residentBytes: 0,
  received: 0,
  sent: 0,
};
const HEARTBEAT_MS = 500;

const after = (inputs: readonly WatchInput[], from: RunnerWatch = NEW_WATCH): RunnerWatch =>
  inputs.reduce(watch, from);
const at = (status: RunnerStatus, pulse: RunnerPulse = IDLE): RunnerWatch =>
  after([
    { kind: 'status', status },
    { kind: 'pulse', pulse },
  ]);
const ticks = (ms: number): WatchInput[] =>
  Array.from({ length: Math.ceil(ms / WATCH_LIMITS.tickMs) }, () => ({
    kind: 'tick',
    elapsedMs: WATCH_LIMITS.tickMs,
  }));

/** Heartbeats for so long, with what each says. */
function beats(ms: number, pulse: (index: number) => RunnerPulse): WatchInput[] {
  return Array.from({ length: Math.ceil(ms / HEARTBEAT_MS) }, (_, index): WatchInput[] => [
    ...ticks(HEARTBEAT_MS),
    { kind: 'pulse', pulse: pulse(index) },
  ]).flat();
}

test('R44: a process that falls silent is frozen, in every phase that is watched', () => {
  for (const status of ['loading', 'warming_up', 'ready', 'running'] as const) {
    assert.equal(judge(after(ticks(WATCH_LIMITS.silenceMs), at(status))), null);
    assert.match(judge(after(ticks(WATCH_LIMITS.silenceMs + 500), at(status))) ?? '', /no heartbeat/);
  }
});

test('R44, R49: one that meets other ranks may wait for them, but not without a sign of life', () => {
  const told = at('connecting');
  assert.equal(
    judge(
      after(
        beats(100_000, (counter) => ({ ...IDLE, counter })),
        told,
      ),
    ),
    null,
  );
  assert.match(judge(after(ticks(WATCH_LIMITS.silenceMs + 500), told)) ?? '', /no heartbeat/);
  const untold = after([{ kind: 'status', status: 'connecting' }]);
  assert.equal(judge(after(ticks(20_000), untold)), null);
  assert.match(judge(after(ticks(20_500), untold)) ?? '', /no progress/);
});

test('R44: an endless loop or a deadlock of the compute thread is seen although heartbeats come', () => {
  const state = after(
    beats(WATCH_LIMITS.standstillLeastMs + 500, () => IDLE),
    at('running'),
  );
  assert.match(judge(state) ?? '', /stood still/);
});

test('R44: a long prefill chunk is not a freeze, within a multiple of what its rows take', () => {
  const chunk: RunnerPulse = { ...IDLE, counter: 7, stepRows: 256, slowestRowMs: 20 };
  const allowedMs = WATCH_LIMITS.standstillFactor * chunk.stepRows * chunk.slowestRowMs;
  assert.equal(
    judge(
      after(
        beats(allowedMs - HEARTBEAT_MS, () => chunk),
        at('running', chunk),
      ),
    ),
    null,
  );
  assert.match(
    judge(
      after(
        beats(allowedMs + 2 * HEARTBEAT_MS, () => chunk),
        at('running', chunk),
      ),
    ) ?? '',
    /stood still/,
  );
});

test('R44: a step that waits for a core is not a freeze; one that hangs on a full machine is, only later', () => {
  const step: RunnerPulse = { ...IDLE, counter: 7, stepRows: 8 };
  const waiting = (share: number) => (index: number) => ({
    ...step,
    starvedMs: (index + 1) * share * HEARTBEAT_MS,
  });
  const judged = (ms: number, share: number) => judge(after(beats(ms, waiting(share)), at('running', step)));
  assert.equal(judged(8_000, 2), null, 'two threads wait all the time');
  assert.equal(judged(4_500, 0.5), null);
  assert.match(judged(6_000, 0.5) ?? '', /stood still/, 'half of the time it had a core');
  assert.match(judged(60_000, 2) ?? '', /stood still/, 'not for ever');
});

test('R44: the first step of all may take long', () => {
  const first: RunnerPulse = { ...IDLE, counter: 7, stepRows: 1, slowestRowMs: 0 };
  assert.equal(
    judge(
      after(
        beats(60_000, () => first),
        at('running', first),
      ),
    ),
    null,
  );
});

test('R46: a runner that takes no message, although some wait for it, is deaf; a slow one is not', () => {
  const waiting =
    (received: number) =>
    (index: number): RunnerPulse => ({
      ...IDLE,
      counter: index + 2,
      sent: 10_000,
      received,
    });
  assert.equal(judge(after(beats(WATCH_LIMITS.deafMs - 500, waiting(5)), at('running'))), null);
  assert.match(
    judge(after(beats(WATCH_LIMITS.deafMs + 1_000, waiting(5)), at('running'))) ?? '',
    /no message/,
  );
  const slow = beats(60_000, (index) => waiting(index + 1)(index));
  assert.equal(judge(after(slow, at('running'))), null);
});

test('R49: a long load is alive while a share, or its resident memory, advances; then it has stalled', () => {
  const minutes = 10 * 60_000;
  const growing = beats(minutes, (index) => ({ ...IDLE, residentBytes: index * 400 * 1024 }));
  assert.equal(judge(after(growing, at('loading'))), null);
  const sharing = Array.from({ length: 100 }, (): WatchInput[] => [
    ...beats(60_000, () => IDLE),
    { kind: 'progress' },
  ]);
  assert.equal(judge(after(sharing.flat(), at('loading'))), null);
  assert.match(
    judge(
      after(
        beats(121_000, () => IDLE),
        at('loading'),
      ),
    ) ?? '',
    /no progress/,
  );
});

test('R49: a process that never says a word is judged by the deadline of its phase', () => {
  assert.equal(judge(after(ticks(19_000))), null);
  assert.match(judge(after(ticks(21_000))) ?? '', /no progress/);
});

test('a stop, and an end, are not judged here', () => {
  for (const status of ['stopping', 'stopped', 'failed'] as const) {
    assert.equal(judge(after(ticks(1_000_000), at(status))), null);
  }
});

test('R44: requests that come and go are no sign of life', () => {
  const busy = Array.from({ length: 10 }, (_, index): WatchInput[] => [
    ...ticks(HEARTBEAT_MS),
    { kind: 'status', status: index % 2 === 0 ? 'running' : 'ready' },
  ]);
  assert.match(judge(after(busy.flat(), at('ready'))) ?? '', /no heartbeat/);
});

test('R44: a node that was paused accuses nobody: one tick counts for little, however long it was', () => {
  const state = after([{ kind: 'tick', elapsedMs: 3_600_000 }], at('running'));
  assert.equal(judge(state), null);
  assert.equal(judge(after([{ kind: 'tick', elapsedMs: -5_000 }], at('running'))), null);
});

test('R44: as long as heartbeats come and the counter moves, no order of events makes a false alarm', () => {
  const gapMs = fc.integer({ min: 1, max: WATCH_LIMITS.silenceMs - WATCH_LIMITS.tickMs });
  fc.assert(
    fc.property(fc.array(fc.tuple(gapMs, fc.nat(64)), { maxLength: 100 }), (gaps) => {
      let state = at('running');
      gaps.forEach(([gap, stepRows], index) => {
        state = after(
          [...ticks(gap), { kind: 'pulse', pulse: { ...IDLE, counter: index + 2, stepRows } }],
          state,
        );
        assert.equal(judge(state), null);
      });
    }),
  );
});

test('R44: whatever is said about waiting for cores, it excuses, and never for more than ten times the limit', () => {
  const limitMs = WATCH_LIMITS.standstillLeastMs;
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -10_000, max: 10_000 }), { maxLength: 80 }), (waits) => {
      let starvedMs = 1_000;
      let excused = at('running', { ...IDLE, starvedMs });
      let plain = at('running');
      for (const waitMs of waits) {
        starvedMs += waitMs;
        excused = after([...ticks(HEARTBEAT_MS), { kind: 'pulse', pulse: { ...IDLE, starvedMs } }], excused);
        plain = after([...ticks(HEARTBEAT_MS), { kind: 'pulse', pulse: IDLE }], plain);
        assert.ok(judge(excused) === null || judge(plain) !== null);
      }
      const tenTimes = waits.length * HEARTBEAT_MS > 10 * limitMs + HEARTBEAT_MS;
      assert.ok(!tenTimes || judge(excused) !== null);
    }),
  );
});
