import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { makeOnce } from './client.js';

/** A node that does to each request what its turn says; the last turn is for all that follow. */
async function withNode(
  turns: readonly ((request: IncomingMessage, response: ServerResponse) => void)[],
  action: (url: string, keys: readonly unknown[]) => Promise<void>,
): Promise<void> {
  const keys: unknown[] = [];
  const server = createServer((request, response) => {
    const turn = turns[Math.min(keys.length, turns.length - 1)];
    keys.push(request.headers['idempotency-key']);
    turn?.(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await action(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, keys);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const breakOff = (_: IncomingMessage, { socket }: ServerResponse) => void socket?.destroy();
const tearOff = (_: IncomingMessage, response: ServerResponse) => {
  response.writeHead(201, { 'content-length': 100 }).write('{"meta_');
  setImmediate(() => response.socket?.destroy());
};
const made = (_: IncomingMessage, response: ServerResponse) =>
  void response.writeHead(201).end('{"meta_instance_id":"m"}');
const full = (_: IncomingMessage, response: ServerResponse) =>
  void response.writeHead(429).end('{"error":{"code":"queue_full","message":"full"}}');

for (const [how, lost] of Object.entries({ 'before it began': breakOff, 'in the middle of it': tearOff })) {
  test(`R20: what was made, and whose answer was lost ${how}, is asked for again as the same thing`, () =>
    withNode([lost, made], async (url, keys) => {
      assert.deepEqual(await makeOnce({ url }, '/meta_instance', {}), { meta_instance_id: 'm' });
      assert.equal(keys.length, 2);
      assert.match(String(keys[0]), /^[\w-]{36}$/);
      assert.equal(keys[1], keys[0]);
    }));
}

test('R1: a node that always breaks off is given up, and what it refuses is not asked again', async () => {
  await withNode([breakOff], async (url, keys) => {
    await assert.rejects(makeOnce({ url }, '/meta_instance', {}), { code: 'node_lost' });
    assert.equal(keys.length, 3);
  });
  await withNode([full], async (url, keys) => {
    await assert.rejects(makeOnce({ url }, '/meta_instance', {}), { code: 'queue_full' });
    assert.equal(keys.length, 1);
  });
});

test('two things that are asked for have keys of their own', () =>
  withNode([made], async (url, keys) => {
    await makeOnce({ url }, '/meta_instance', {});
    await makeOnce({ url }, '/meta_instance', {});
    assert.equal(new Set(keys).size, 2);
  }));
