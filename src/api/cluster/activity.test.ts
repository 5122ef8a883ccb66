import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HourSample } from '../../shared/lastHour.js';
import { startTestApi } from '../testing/testApi.js';

const SAMPLE: HourSample = {
  atMs: 1_000,
  completed: 1,
  failed: 2,
  cancelled: 3,
  runnerFailures: 4,
  generatedTokens: 5,
  running: 6,
  queued: 7,
  memoryUsedBytes: 8,
  memoryTotalBytes: 9,
};

test('R74: /activity shows the last hour in columns of one length', async () => {
  const api = await startTestApi();
  try {
    api.lastHour = [SAMPLE, { ...SAMPLE, atMs: 11_000, completed: 10 }];
    const answer = await fetch(`${api.url}/activity`);
    assert.deepEqual(await answer.json(), {
      step_ms: 10_000,
      at_ms: [1_000, 11_000],
      completed: [1, 10],
      failed: [2, 2],
      cancelled: [3, 3],
      runner_failures: [4, 4],
      generated_tokens: [5, 5],
      running: [6, 6],
      queued: [7, 7],
      memory_used_bytes: [8, 8],
      memory_total_bytes: [9, 9],
    });
  } finally {
    await api.close();
  }
});
