/** What this machine's memory can do, to hold decode against: each token reads all weights once. */
import { Worker } from 'node:worker_threads';

const BUFFER_BYTES = 256 * 1024 * 1024;
const ROUNDS = 6;

/** Each thread copies a buffer that no cache holds; reads and writes both count. */
const SOURCE = `
  const { parentPort, workerData } = require('node:worker_threads');
  const from = Buffer.alloc(workerData.bytes, 1);
  const to = Buffer.alloc(workerData.bytes, 2);
  from.copy(to);
  parentPort.postMessage('ready');
  parentPort.once('message', () => {
    for (let round = 0; round < workerData.rounds; round += 1) from.copy(to);
    parentPort.postMessage('done');
    parentPort.close();
  });`;

/** Bytes a second that `threads` threads move together. */
export async function memoryBandwidth(threads: number): Promise<number> {
  const workers = Array.from(
    { length: threads },
    () => new Worker(SOURCE, { eval: true, workerData: { bytes: BUFFER_BYTES, rounds: ROUNDS } }),
  );
  const messages = (): Promise<unknown> =>
    Promise.all(
      workers.map(
        (worker) =>
          new Promise((resolve, reject) => {
            worker.once('message', resolve);
            worker.once('error', reject);
          }),
      ),
    );
  try {
    await messages();
    const done = messages();
    const start = performance.now();
    for (const worker of workers) worker.postMessage('go');
    await done;
    return (2 * BUFFER_BYTES * ROUNDS * threads * 1000) / (performance.now() - start);
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
