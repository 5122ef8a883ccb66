/**
 * One rank of the benchmark in a process of its own, which its parent tells what to do: it measures on rank 0 and takes
 * part on the others. Endpoints and results go over the channel of `child_process`.
 */

import type { Encryption } from '../../src/collective/connect/encryption.js';
import { connectCollective, type ShapeName } from '../../src/collective/connect.js';
import type { Collective } from '../../src/collective/contract.js';

export interface RankTask {
  readonly rank: number;
  readonly worldSize: number;
  readonly shape: ShapeName;
  readonly encryption: Encryption;
  readonly secret: string;
  readonly sumBytes: readonly number[];
  readonly tensorBytes: readonly number[];
  readonly rounds: number;
}

export interface Measured {
  readonly what: string;
  readonly timesUs: readonly number[];
}

const task = JSON.parse(process.argv[2]!) as RankTask;
const { rank, worldSize, shape, encryption } = task;
const secret = Buffer.from(task.secret, 'hex');
const collective = await connectCollective(
  { rank, worldSize, shape, secret },
  (blob) => {
    process.send!({ blob: Buffer.from(blob).toString('hex') });
    return new Promise((resolve) => {
      process.once('message', (blobs: string[]) => resolve(blobs.map((text) => Buffer.from(text, 'hex'))));
    });
  },
  { host: '127.0.0.1', encryption },
);
const results: Measured[] = [];
for (const bytes of task.sumBytes) results.push(await measureSums(collective, bytes));
for (const bytes of task.tensorBytes) results.push(await measureTensors(collective, bytes));
await collective.barrier();
process.send!({ results: rank === 0 ? results : [] });
await new Promise((resolve) => process.once('disconnect', resolve));
await collective.close();

async function measureSums(ranks: Collective, bytes: number): Promise<Measured> {
  const buffer = new Float32Array(bytes / Float32Array.BYTES_PER_ELEMENT);
  return {
    what: `sum of ${bytes / 1024} KiB`,
    timesUs: await measure(() => ranks.allReduce(buffer)),
  };
}

/** There and back between rank 0 and 1, halved. */
async function measureTensors(ranks: Collective, bytes: number): Promise<Measured> {
  const tensor = new Uint8Array(bytes);
  const into = new Uint8Array(bytes);
  const timesUs = await measure(async () => {
    if (rank === 0) {
      await ranks.send(1, 0, [tensor]);
      await ranks.receive(1, { into });
    } else if (rank === 1) {
      await ranks.receive(0, { into });
      await ranks.send(0, 0, [into]);
    }
  });
  return { what: `tensor of ${bytes / 1024} KiB, one way`, timesUs: timesUs.map((time) => time / 2) };
}

async function measure(action: () => Promise<unknown>): Promise<number[]> {
  await collective.barrier();
  for (let round = 0; round < task.rounds / 5; round += 1) await action();
  const times: number[] = [];
  for (let round = 0; round < task.rounds; round += 1) {
    const started = performance.now();
    await action();
    times.push((performance.now() - started) * 1_000);
  }
  return times.sort((left, right) => left - right);
}
