/** A thread that computes sums by blocking in them, as an engine does, while the main thread has the links. */
import { parentPort, workerData } from 'node:worker_threads';
import { BlockingCollective } from '../../src/collective/bridge/blockingCollective.js';
import type { BridgeMemory } from '../../src/collective/bridge/layout.js';

export interface ComputingTask {
  readonly memory: BridgeMemory;
  readonly sumBytes: readonly number[];
  readonly rounds: number;
}

const { memory, sumBytes, rounds } = workerData as ComputingTask;
const collective = new BlockingCollective(memory);
for (const bytes of sumBytes) {
  const buffer = collective.allocateFloats(bytes / Float32Array.BYTES_PER_ELEMENT);
  for (let round = 0; round < rounds / 2; round += 1) collective.allReduce(buffer).wait();
  const timesUs: number[] = [];
  const cpu = process.cpuUsage();
  for (let round = 0; round < rounds; round += 1) {
    const started = performance.now();
    collective.allReduce(buffer).wait();
    timesUs.push((performance.now() - started) * 1_000);
  }
  const { user, system } = process.cpuUsage(cpu);
  parentPort!.postMessage({
    what: `sum of ${bytes / 1024} KiB, from another thread`,
    timesUs: timesUs.sort((left, right) => left - right),
    cpuUs: (user + system) / rounds,
  });
}
