import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { isAlive } from '../support/nodeProcess.js';
import { SupervisorBench } from './supervisorBench.js';

const CYCLES = 32;
const SIDE_BY_SIDE = 4;

/** Start, kill, start again, stop. The restart does not wait for its backoff. Returns the pids. */
async function cycle(): Promise<number[]> {
  const bench = new SupervisorBench('normal');
  await bench.until('ready');
  const first = bench.pid;
  process.kill(first, 'SIGKILL');
  await bench.until('failed');
  bench.supervisor.start();
  await bench.until('ready', 2);
  const second = bench.pid;
  await bench.supervisor.stop();
  assert.equal(bench.failures.length, 1);
  return [first, second];
}

/** What this process holds open, by kind; descriptors where /proc has them. */
function held(): { resources: number; descriptors: number; listeners: number } {
  return {
    resources: process.getActiveResourcesInfo().length,
    descriptors: process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0,
    listeners: process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0),
  };
}

test(`R47, R48: ${CYCLES} cycles of start, kill, restart and stop leave nothing behind`, {
  timeout: 120_000,
}, async () => {
  await cycle();
  const before = held();
  const pids: number[] = [];
  await Promise.all(
    Array.from({ length: SIDE_BY_SIDE }, async () => {
      for (let i = 0; i < CYCLES / SIDE_BY_SIDE; i += 1) pids.push(...(await cycle()));
    }),
  );
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.deepEqual(pids.filter(isAlive), []);
  assert.equal(pids.length, 2 * CYCLES);
  const after = held();
  assert.ok(after.resources <= before.resources, `${after.resources} resources, ${before.resources} before`);
  assert.ok(
    after.descriptors <= before.descriptors,
    `${after.descriptors} descriptors, ${before.descriptors} before`,
  );
  assert.equal(after.listeners, before.listeners);
});
