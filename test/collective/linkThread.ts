/** A rank whose links live in a worker thread: it meets the others by messages, and adds. */
import { parentPort, workerData } from 'node:worker_threads';
import { type CollectiveSettings, connectCollective } from '../../src/collective/connect.js';

const settings = workerData as CollectiveSettings;
const collective = await connectCollective(
  settings,
  (blob) => {
    parentPort!.postMessage(blob);
    return new Promise((resolve) => parentPort!.once('message', resolve));
  },
  { host: '127.0.0.1' },
);
const sum = Float32Array.of(settings.rank, 1);
for (let round = 0; round < 100; round += 1) {
  sum.set([settings.rank, 1]);
  await collective.allReduce(sum);
}
parentPort!.postMessage([...sum]);
await collective.barrier();
await collective.close();
