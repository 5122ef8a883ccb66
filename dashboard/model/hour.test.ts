/** The last hour in numbers that can be drawn. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HourColumns, hourCharts, readAt, readHour, runsOf } from './hour.js';

const START_MS = 1_760_000_040_000;
const STEP_MS = 10_000;

/** Twelve steps: two minutes. */
function sample(more: Partial<HourColumns> = {}): HourColumns {
  const at_ms = Array.from({ length: 12 }, (_, step) => START_MS + step * STEP_MS);
  const each = (value: number) => at_ms.map(() => value);
  return {
    step_ms: STEP_MS,
    at_ms,
    completed: each(1),
    failed: each(0),
    cancelled: each(0),
    runner_failures: each(0),
    generated_tokens: each(300),
    running: each(2),
    queued: each(1),
    memory_used_bytes: each(2 ** 30),
    memory_total_bytes: each(4 * 2 ** 30),
    ...more,
  };
}

const chart = (hour: HourColumns, id: string) =>
  hourCharts(hour).find((one) => one.id === id) ?? assert.fail(id);

test('counts are gathered by the minute, rates are by the second', () => {
  const requests = chart(sample(), 'requests');
  assert.deepEqual(
    requests.series[0]?.points.map(({ value }) => value),
    [6, 6],
  );
  assert.equal(requests.top, 10);
  assert.equal(requests.untilMs - requests.fromMs, 600_000, 'of a young node, less is shown');
  assert.match(requests.summary, /^12 requests/);
  const tokens = chart(sample(), 'tokens');
  assert.ok(tokens.series[0]?.points.every(({ value }) => value === 30));
  assert.equal(readAt(tokens, tokens.untilMs), 'generated 30');
  assert.equal(readAt(tokens, tokens.fromMs), '', 'of the time before, nothing is known');
});

test('the upper edge is a round number above everything, bars on bars included', () => {
  const hour = sample({ failed: new Array(12).fill(10) });
  assert.equal(chart(hour, 'requests').top, 100, '66 in a minute');
  assert.equal(chart(sample(), 'failures').top, 1, 'nothing at all');
  assert.equal(chart(sample(), 'memory').top, 4 * 2 ** 30);
});

test('a node that stood still leaves a gap', () => {
  const points = [0, 10, 20, 90, 100].map((second) => ({ atMs: second * 1_000, value: 1 }));
  assert.deepEqual(
    runsOf(points, STEP_MS).map((run) => run.length),
    [3, 2],
  );
});

test('what is not the last hour is not drawn', () => {
  assert.deepEqual(readHour(JSON.parse(JSON.stringify(sample()))), sample());
  const { queued, ...without } = sample();
  for (const other of [null, 7, [], {}, without, { ...without, queued: [1] }, { ...without, queued: 'x' }]) {
    assert.equal(readHour(other), null);
  }
  assert.equal(
    hourCharts({
      ...sample(),
      ...Object.fromEntries(Object.keys(sample()).map((key) => [key, []])),
    } as HourColumns).length,
    5,
  );
});
