import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { TIMES } from '../../shared/limits.js';
import { NodeSpeedMeter } from './nodeSpeed.js';
import type { BenchmarkResult } from './runBenchmark.js';

const speedOf = (gigabytes: number, processorShare = 1): BenchmarkResult => ({
  speed: { memoryBytesPerSecond: gigabytes * 1e9, operationsPerSecond: 1e11, processorShare },
});

/** A machine whose benchmarks give these results one after the other, at a clock that a test sets. */
class Machine {
  readonly home = mkdtempSync(join(tmpdir(), 'shoal-speed-'));
  readonly problems: string[] = [];
  now = 1_000_000;
  isIdle = true;
  measurements = 0;
  readonly #results: BenchmarkResult[];
  readonly #meters: NodeSpeedMeter[] = [];

  constructor(...results: BenchmarkResult[]) {
    this.#results = results;
  }

  meter(machine = 'this one'): NodeSpeedMeter {
    const meter = new NodeSpeedMeter(
      {
        benchmark: async () => {
          this.measurements += 1;
          return this.#results.shift() ?? { problem: 'there is no further result' };
        },
        isIdle: () => this.isIdle,
        onProblem: (problem) => this.problems.push(problem),
        now: () => this.now,
      },
      { home: this.home, machine, lookMs: 1 },
    );
    this.#meters.push(meter);
    meter.start();
    return meter;
  }

  /** Looks that find nothing to do are over in a few of these. */
  async looks(): Promise<void> {
    for (let count = 0; count < 5; count += 1) await new Promise((resolve) => setTimeout(resolve, 2));
  }

  async measured(count: number): Promise<void> {
    while (this.measurements < count) await new Promise((resolve) => setTimeout(resolve, 1));
    await this.looks();
    assert.equal(this.measurements, count);
  }

  async end(): Promise<void> {
    await Promise.all(this.#meters.map((meter) => meter.close()));
    rmSync(this.home, { recursive: true, force: true });
  }
}

const BOUND = { timeout: 20_000 };
const gigabytes = (meter: NodeSpeedMeter): number | null =>
  meter.speed === null ? null : meter.speed.memoryBytesPerSecond / 1e9;

test(
  'R38: the speed is measured once, when the node is idle, and kept for its next life',
  BOUND,
  async () => {
    const machine = new Machine(speedOf(25), speedOf(40));
    machine.isIdle = false;
    const meter = machine.meter();
    await machine.looks();
    assert.deepEqual([machine.measurements, gigabytes(meter)], [0, null]);
    machine.isIdle = true;
    await machine.measured(1);
    assert.deepEqual(meter.speed, { memoryBytesPerSecond: 25e9, operationsPerSecond: 1e11 });
    await meter.close();
    const again = machine.meter();
    assert.deepEqual(again.speed, meter.speed);
    await machine.looks();
    assert.equal(machine.measurements, 1);

    machine.now += TIMES.speedAgeMs;
    await machine.measured(2);
    assert.equal(gigabytes(again), 40);
    await machine.end();
  },
);

test(
  'R38: a measurement that others disturbed is repeated later, and the best one counts',
  BOUND,
  async () => {
    const machine = new Machine(speedOf(10, 0.4), speedOf(5, 0.2), { problem: 'killed' }, speedOf(8));
    const meter = machine.meter();
    await machine.measured(1);
    machine.now += TIMES.speedRetryMs;
    await machine.measured(2);
    assert.equal(gigabytes(meter), 10);
    machine.now += TIMES.speedRetryMs;
    await machine.measured(3);
    assert.match(machine.problems.join(), /could not be measured: killed/);
    assert.equal(gigabytes(meter), 10, 'what is known stays');
    machine.now += TIMES.speedRetryMs;
    await machine.measured(4);
    assert.equal(gigabytes(meter), 8, 'one that had all cores is the truth');
    machine.now += TIMES.speedRetryMs;
    await machine.measured(4);
    await machine.end();
  },
);

test('R38: another machine, another engine, and a damaged file are measured anew', BOUND, async () => {
  const machine = new Machine(speedOf(25), speedOf(50), speedOf(75));
  machine.meter();
  await machine.measured(1);
  const other = machine.meter('another one');
  assert.equal(gigabytes(other), null);
  await machine.measured(2);
  assert.equal(gigabytes(other), 50);
  for (const text of [
    '{"machine":"another one"}',
    'x',
    '{"machine":"another one","speed":{"memoryBytesPerSecond":-1}}',
  ]) {
    writeFileSync(join(machine.home, 'speed.json'), text);
    const meter = machine.meter('another one');
    assert.equal(meter.speed, null, text);
    await meter.close();
  }
  await machine.end();
});
