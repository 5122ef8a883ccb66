/**
 * One rank of the benchmark in a process of its own, which its parent tells what to do: it measures on rank 0 and takes
 * part on the others. Endpoints and results go over the channel of `child_process`.
 */

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { CollectiveHost } from '../../src/collective/bridge/collectiveHost.js';
import { allocateBridge } from '../../src/collective/bridge/layout.js';
import type { Encryption } from '../../src/collective/connect/encryption.js';
import { connectCollective, type ShapeName } from '../../src/collective/connect.js';
import type { Collective } from '../../src/collective/contract.js';
import { BareExchange } from './bare.js';
import type { ComputingTask } from './computing.js';

export interface RankTask {
  readonly rank: number;
  readonly worldSize: number;
  /** `bare` exchanges bytes of two ranks without a collective. */
  readonly shape: ShapeName | 'bare';
  readonly encryption: Encryption;
  readonly secret: string;
  readonly sumBytes: readonly number[];
  readonly tensorBytes: readonly number[];
  readonly rounds: number;
}

export interface Measured {
  readonly what: string;
  readonly timesUs: readonly number[];
  /** Processor time of this rank for one operation, in microseconds. */
  readonly cpuUs: number;
}

const task = JSON.parse(process.argv[2]!) as RankTask;
const { rank, worldSize, shape, encryption } = task;
const secret = Buffer.from(task.secret, 'hex');
const results: Measured[] = [];
if (shape === 'bare') {
  const bare = await BareExchange.connect(rank, secret, encryption, allGather);
  for (const bytes of task.sumBytes) {
    const own = new Uint8Array(bytes);
    results.push(await measure(`${bytes / 1024} KiB exchanged`, () => bare.exchange(own)));
  }
  await finish();
  bare.close();
} else {
  const collective = await connectCollective({ rank, worldSize, shape, secret }, allGather, {
    host: '127.0.0.1',
    encryption,
  });
  for (const bytes of task.sumBytes) {
    const buffer = new Float32Array(bytes / Float32Array.BYTES_PER_ELEMENT);
    results.push(await measure(`sum of ${bytes / 1024} KiB`, () => collective.allReduce(buffer)));
  }
  for (const bytes of task.tensorBytes) results.push(await measureTensors(collective, bytes));
  results.push(...(await measureFromThread(collective)));
  await collective.barrier();
  await finish();
  await collective.close();
}

function allGather(blob: Uint8Array): Promise<readonly Uint8Array[]> {
  process.send!({ blob: Buffer.from(blob).toString('hex') });
  return new Promise((resolve) => {
    process.once('message', (blobs: string[]) => resolve(blobs.map((text) => Buffer.from(text, 'hex'))));
  });
}

async function finish(): Promise<void> {
  process.send!({ results: rank === 0 ? results : [] });
  await new Promise((resolve) => process.once('disconnect', resolve));
}

/** The same sums, asked for by a thread that computes. */
async function measureFromThread(ranks: Collective): Promise<readonly Measured[]> {
  const arenaBytes = task.sumBytes.reduce((sum, bytes) => sum + bytes, 0);
  const memory = allocateBridge(1, arenaBytes);
  const host = new CollectiveHost(ranks, memory);
  const workerData: ComputingTask = { memory, sumBytes: task.sumBytes, rounds: task.rounds };
  const worker = new Worker(new URL('./computing.js', import.meta.url), { workerData });
  const measured: Measured[] = [];
  worker.on('message', (message: Measured) => measured.push(message));
  await once(worker, 'exit');
  host.close();
  return measured;
}

/** There and back between rank 0 and 1, halved. */
async function measureTensors(ranks: Collective, bytes: number): Promise<Measured> {
  const tensor = new Uint8Array(bytes);
  const into = new Uint8Array(bytes);
  const { what, timesUs, cpuUs } = await measure(`tensor of ${bytes / 1024} KiB, one way`, async () => {
    if (rank === 0) {
      await ranks.send(1, 0, [tensor]);
      await ranks.receive(1, { into });
    } else if (rank === 1) {
      await ranks.receive(0, { into });
      await ranks.send(0, 0, [into]);
    }
  });
  return { what, timesUs: timesUs.map((time) => time / 2), cpuUs: cpuUs / 2 };
}

async function measure(what: string, action: () => Promise<unknown>): Promise<Measured> {
  for (let round = 0; round < task.rounds / 2; round += 1) await action();
  const times: number[] = [];
  const cpu = process.cpuUsage();
  for (let round = 0; round < task.rounds; round += 1) {
    const started = performance.now();
    await action();
    times.push((performance.now() - started) * 1_000);
  }
  const { user, system } = process.cpuUsage(cpu);
  return { what, timesUs: times.sort((left, right) => left - right), cpuUs: (user + system) / task.rounds };
}
