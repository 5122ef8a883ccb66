/** Collectives between threads: one that computes and blocks beside one that has the links, and links in a thread. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { CollectiveHost } from '../../src/collective/bridge/collectiveHost.js';
import { allocateBridge } from '../../src/collective/bridge/layout.js';
import type { Collective } from '../../src/collective/contract.js';
import { startWorld } from '../../src/collective/testing/startWorld.js';
import type { BridgeTask } from './bridgeThread.js';

const LIMIT = { timeout: 60_000 };
const ARENA_BYTES = 1024 * 1024;
const SLOTS = 6;

function compute(
  context: TestContext,
  collective: Collective,
  work: BridgeTask['work'],
  onEnded: () => void = () => undefined,
) {
  const memory = allocateBridge(SLOTS, ARENA_BYTES);
  const host = new CollectiveHost(collective, memory, { onEnded });
  const { rank, worldSize } = collective;
  const workerData: BridgeTask = { memory, rank, worldSize, work };
  const worker = new Worker(new URL('./bridgeThread.js', import.meta.url), { workerData });
  context.after(async () => {
    host.close();
    await worker.terminate();
  });
  return worker;
}

for (const shape of ['ring', 'mesh'] as const) {
  test(
    `${shape}: threads that compute add, pass tensors and tell each other, by blocking`,
    LIMIT,
    async (context) => {
      const ranks = await startWorld(context, shape, 3);
      let ended = 0;
      const workers = ranks.map((rank) =>
        compute(context, rank, 'work', () => {
          ended += 1;
        }),
      );
      const messages = await Promise.all(
        workers.map(async (worker) => (await once(worker, 'message'))[0] as unknown),
      );
      assert.deepEqual(messages, ['done', 'done', 'done']);
      assert.ok(ended >= 3 * (200 + 50 * 6));
    },
  );
}

test(
  'R7: a thread that blocks for ever is woken by the fault that ends its collective',
  LIMIT,
  async (context) => {
    const ranks = await startWorld(context, 'ring', 3);
    const workers = ranks.slice(1).map((rank) => compute(context, rank, 'wait'));
    await Promise.all(workers.map((worker) => once(worker, 'message')));
    const ends = workers.map((worker) => once(worker, 'message'));
    await ranks[0]!.close();
    for (const [fault] of await Promise.all(ends)) {
      assert.deepEqual(fault, {
        code: 'node_lost',
        message: 'rank 0 (node-0) has left the collective',
        details: { rank: 0, node: 'node-0' },
      });
    }
  },
);

test('links work in a worker thread', LIMIT, async (context) => {
  const worldSize = 3;
  const secret = randomBytes(32);
  const workers = Array.from({ length: worldSize }, (_, rank) => {
    const workerData = { rank, worldSize, shape: 'mesh', secret };
    const worker = new Worker(new URL('./linkThread.js', import.meta.url), { workerData });
    context.after(() => worker.terminate());
    return worker;
  });
  const blobs = await Promise.all(
    workers.map(async (worker) => (await once(worker, 'message'))[0] as Uint8Array),
  );
  const sums = workers.map((worker) => once(worker, 'message'));
  const exits = workers.map((worker) => once(worker, 'exit'));
  for (const worker of workers) worker.postMessage(blobs);
  for (const [sum] of await Promise.all(sums)) assert.deepEqual(sum, [3, 3]);
  for (const [code] of await Promise.all(exits)) assert.equal(code, 0);
});
