/** The benchmark of a node's speed in a real child process: with the real engine, and with children that misbehave. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type BenchmarkResult, runBenchmark } from '../../src/worker/speed/runBenchmark.js';
import { isAlive } from '../support/nodeProcess.js';

const REAL = fileURLToPath(new URL('../../src/runner/measureSpeed.js', import.meta.url));
const NEVER = new AbortController().signal;
const folder = mkdtempSync(join(tmpdir(), 'shoal-benchmark-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** A child that does this instead; its pids are told. */
async function misbehave(
  source: string,
  { limitMs = 60_000, signal = NEVER } = {},
): Promise<{ result: BenchmarkResult; pid: number | null }> {
  const entry = join(folder, `${Math.random()}.mjs`);
  writeFileSync(entry, source);
  let child: number | null = null;
  const leftovers = {
    add: async (pid: number) => {
      child = pid;
    },
    remove: () => undefined,
  };
  const order = { entry, threads: 1, gpuLayers: 0, availableBytes: 8e9, leftovers, limitMs };
  const result = await runBenchmark(order, signal);
  return { result, pid: child };
}

const BOUND = { timeout: 120_000 };

describe('R38: the benchmark of a node', BOUND, () => {
  test('tells what this machine does, with one layer where memory is short', async () => {
    const order = { entry: REAL, threads: 1, gpuLayers: 0, availableBytes: 1.1e9, limitMs: 100_000 };
    const result = await runBenchmark(order, NEVER);
    assert.ok('speed' in result, JSON.stringify(result));
    const { memoryBytesPerSecond, operationsPerSecond, processorShare } = result.speed;
    assert.ok(memoryBytesPerSecond > 1e7 && memoryBytesPerSecond < 1e13, String(memoryBytesPerSecond));
    assert.ok(operationsPerSecond > memoryBytesPerSecond, String(operationsPerSecond));
    assert.ok(processorShare > 0 && processorShare <= 1);
  });

  test('without memory for it there is none', async () => {
    const order = { entry: REAL, threads: 1, gpuLayers: 0, availableBytes: 0.5e9 };
    assert.deepEqual(await runBenchmark(order, NEVER), {
      problem: 'there is too little free memory to measure it',
    });
  });

  test('a child that dies, lies or talks without end is told of', async () => {
    const died = await misbehave(
      "process.stderr.write('the reason\\n', () => process.kill(process.pid, 'SIGABRT'))",
    );
    assert.deepEqual(died.result, { problem: 'SIGABRT: the reason' });
    const failed = await misbehave("console.error('no engine'); process.exitCode = 3;");
    assert.deepEqual(failed.result, { problem: 'exit code 3: no engine' });
    for (const answer of [
      '',
      'x',
      '{}',
      '{"memoryBytesPerSecond":1e30,"operationsPerSecond":1e11,"processorShare":1}',
    ]) {
      const lied = await misbehave(`process.stdout.write(${JSON.stringify(answer)})`);
      assert.deepEqual(lied.result, { problem: 'its answer makes no sense' }, answer);
    }
    const talked = await misbehave("setInterval(() => process.stdout.write('x'.repeat(10000)), 1)");
    assert.deepEqual(talked.result, { problem: 'its answer is none' });
    const missing = { entry: join(folder, 'none.mjs'), threads: 1, gpuLayers: 0, availableBytes: 8e9 };
    assert.ok('problem' in (await runBenchmark(missing, NEVER)));
  });

  test('a child that hangs or stands still is ended at the limit, and with the node', async () => {
    const hung = await misbehave('for (;;);', { limitMs: 1_000 });
    assert.deepEqual(hung.result, { problem: 'it did not end within 1000 ms' });
    assert.ok(hung.pid !== null && !isAlive(hung.pid));
    const frozen = await misbehave("process.kill(process.pid, 'SIGSTOP')", { limitMs: 1_000 });
    assert.deepEqual(frozen.result, { problem: 'it did not end within 1000 ms' });
    assert.ok(frozen.pid !== null && !isAlive(frozen.pid));
    const stopped = await misbehave('for (;;);', { signal: AbortSignal.timeout(300) });
    assert.deepEqual(stopped.result, { problem: 'the node stops' });
    assert.ok(stopped.pid === null || !isAlive(stopped.pid));
  });
});
