import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { SharedStatus } from './sharedStatus.js';

test('both sides see the same numbers', () => {
  const one = new SharedStatus();
  const other = new SharedStatus(one.buffer);
  const load = { runningSequences: 1, queuedRequests: 2, usedCells: 3, totalCells: 4, prefixCacheCells: 5 };
  one.load = load;
  one.beat();
  one.beat();
  one.announceStep(17, 3);
  assert.deepEqual(other.load, load);
  assert.equal(other.pulse.counter, 2);
  assert.ok(other.isSoleRequest(17) && !other.isSoleRequest(18));
  one.announceStep(null, 0);
  assert.ok(!other.isSoleRequest(17) && !other.isSoleRequest(0));
  assert.ok(!one.isShutdownRequested);
  other.requestShutdown();
  assert.ok(one.isShutdownRequested);
});

test('a bell that rang before the sleep is not slept over', () => {
  const status = new SharedStatus();
  const rings = status.rings;
  status.ring();
  const started = performance.now();
  status.sleep(rings, 10_000);
  assert.ok(performance.now() - started < 10_000);
});

test('the bell wakes the other thread', { timeout: 20_000 }, async () => {
  const status = new SharedStatus();
  const source = `
    const { workerData } = require('node:worker_threads');
    import(workerData.module).then(({ SharedStatus }) => {
      const status = new SharedStatus(workerData.buffer);
      const rings = status.rings;
      status.beat();
      status.sleep(rings, 15_000);
      status.beat();
    });`;
  const module = new URL('./sharedStatus.js', import.meta.url).href;
  const worker = new Worker(source, { eval: true, workerData: { buffer: status.buffer, module } });
  const ended = new Promise((resolve) => worker.once('exit', resolve));
  for (let wait = 0; status.pulse.counter === 0 && wait < 10_000; wait++) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  status.ring();
  assert.equal(await ended, 0);
  assert.equal(status.pulse.counter, 2);
});
