/** How ranks meet, and what keeps them from it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { test } from 'node:test';
import type { ShoalError } from '../shared/errors.js';
import { decodeEndpoint } from './connect/endpoint.js';
import {
  type AllGather,
  type CollectiveOptions,
  type CollectiveSettings,
  connectCollective,
} from './connect.js';
import { meetingOf } from './testing/meeting.js';
import { startWorld } from './testing/startWorld.js';

const LIMIT = { timeout: 30_000 };
const LOOPBACK: CollectiveOptions = { host: '127.0.0.1' };

function settingsOf(rank: number, worldSize: number, secret = Buffer.alloc(32, 7)): CollectiveSettings {
  const names = Array.from({ length: worldSize }, (_, index) => `node-${index}`);
  return { rank, worldSize, shape: 'mesh', secret, names };
}

/** Sockets and servers that are open in this process. */
const handles = () => process.getActiveResourcesInfo().filter((kind) => /TCP|TLS/.test(kind)).length;

async function until(what: string, condition: () => boolean): Promise<void> {
  const endsAt = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > endsAt) throw new Error(`waited too long: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('settings that cannot be are refused at once', LIMIT, async () => {
  const never = () => new Promise<never>(() => undefined);
  const good = settingsOf(0, 2);
  for (const bad of [
    { ...good, rank: 2 },
    { ...good, rank: -1 },
    { ...good, worldSize: 0 },
    { ...good, worldSize: 1_000 },
    { ...good, secret: Buffer.alloc(31) },
    { ...good, shape: 'star' as 'ring' },
  ]) {
    await assert.rejects(connectCollective(bad, never, LOOPBACK), { code: 'invalid_request' });
  }
  await assert.rejects(connectCollective(good, never, { host: '203.0.113.1' }), { code: 'not_ready' });
});

test('ranks with different secrets never meet; the fault names the other', LIMIT, async () => {
  const before = handles();
  const meet = meetingOf(2);
  const options = { ...LOOPBACK, connectMs: 3_000 };
  const [first, second] = await Promise.allSettled([
    connectCollective(settingsOf(0, 2, randomBytes(32)), meet(0), options),
    connectCollective(settingsOf(1, 2, randomBytes(32)), meet(1), options),
  ]);
  assert.equal(((first as PromiseRejectedResult).reason as ShoalError).code, 'node_lost');
  assert.deepEqual(((first as PromiseRejectedResult).reason as ShoalError).details, {
    rank: 1,
    node: 'node-1',
  });
  assert.equal(((second as PromiseRejectedResult).reason as ShoalError).code, 'deadline_exceeded');
  assert.deepEqual(((second as PromiseRejectedResult).reason as ShoalError).details, {
    rank: 0,
    node: 'node-0',
  });
  await until('nothing is left open', () => handles() <= before);
});

test('a rank that never comes to the side channel, or nowhere else, is missed in time', LIMIT, async () => {
  const before = handles();
  const options = { ...LOOPBACK, connectMs: 300 };
  await assert.rejects(
    connectCollective(settingsOf(0, 2), () => new Promise(() => undefined), options),
    { code: 'deadline_exceeded', details: { rank: 1, node: 'node-1' } },
  );
  await until('nothing is left open', () => handles() <= before);
});

test('the failure of the side channel is the failure of the meeting', LIMIT, async () => {
  const before = handles();
  const broken = () => Promise.reject(new Error('the pipe broke'));
  await assert.rejects(connectCollective(settingsOf(0, 2), broken, LOOPBACK), /the pipe broke/);
  await until('nothing is left open', () => handles() <= before);
});

test('R53: what another rank tells of itself is checked before it is used', LIMIT, async () => {
  for (const theirs of [randomBytes(40), new Uint8Array(0), Buffer.from('{"port":1}')]) {
    const gather = (own: Uint8Array) => Promise.resolve([own, theirs]);
    await assert.rejects(connectCollective(settingsOf(0, 2), gather, LOOPBACK), {
      code: 'peer_protocol_error',
      details: { rank: 1, node: 'node-1' },
    });
  }
  const tooFew = (own: Uint8Array) => Promise.resolve([own]);
  await assert.rejects(connectCollective(settingsOf(0, 2), tooFew, LOOPBACK), {
    code: 'peer_protocol_error',
  });
});

test('giving up ends the meeting at once', LIMIT, async () => {
  const before = handles();
  const controller = new AbortController();
  const meeting = connectCollective(settingsOf(0, 3), () => new Promise(() => undefined), {
    ...LOOPBACK,
    signal: controller.signal,
  });
  controller.abort();
  await assert.rejects(meeting, { code: 'cancelled' });
  await assert.rejects(
    connectCollective(settingsOf(0, 3), () => new Promise(() => undefined), {
      ...LOOPBACK,
      signal: controller.signal,
    }),
    { code: 'cancelled' },
  );
  await until('nothing is left open', () => handles() <= before);
});

test(
  'of several addresses one that works is found, and strangers on the others do no harm',
  LIMIT,
  async (context) => {
    const worldSize = 3;
    const meet = meetingOf(worldSize);
    const strangers: Server[] = [];
    context.after(() =>
      Promise.all(strangers.map((server) => new Promise((resolve) => server.close(resolve)))),
    );
    const addresses = ['127.0.0.3', '127.0.0.4', '127.0.0.6', '192.0.2.1', '127.0.0.1'];
    const ranks = await Promise.all(
      Array.from({ length: worldSize }, (_, rank) => {
        const gather: AllGather = async (blob, signal) => {
          const { port } = decodeEndpoint(blob, rank);
          strangers.push(
            await openPort('127.0.0.3', port, (socket) => socket.end('220 mail\r\n').resume()),
            await openPort('127.0.0.4', port, (socket) => socket.resume()),
          );
          return await meet(rank)(blob, signal);
        };
        return connectCollective(settingsOf(rank, worldSize), gather, { host: '127.0.0.1', addresses });
      }),
    );
    context.after(() => Promise.all(ranks.map((rank) => rank.close())));
    for (const rank of ranks) {
      assert.equal(rank.paths.length, 2);
      for (const path of rank.paths) {
        assert.equal(path.remoteAddress, '127.0.0.1');
        assert.equal(path.roundTripUs === null, path.rank < rank.rank);
        if (path.roundTripUs !== null) assert.ok(path.roundTripUs > 0);
      }
    }
    await Promise.all(ranks.map((rank) => rank.barrier()));
  },
);

test('the faster of two paths is taken', LIMIT, async (context) => {
  const meet = meetingOf(2);
  const relays: Server[] = [];
  context.after(() => Promise.all(relays.map((server) => new Promise((resolve) => server.close(resolve)))));
  const ranks = await Promise.all(
    [0, 1].map((rank) => {
      const gather: AllGather = async (blob, signal) => {
        const { port } = decodeEndpoint(blob, rank);
        // A detour to the same place, on which everything takes a few milliseconds longer.
        const detour = await openPort('127.0.0.3', port, (near) => {
          const far = connect(port, '127.0.0.1');
          for (const [from, to] of [
            [near, far],
            [far, near],
          ] as const) {
            from.on('data', (chunk) => setTimeout(() => to.write(chunk), 5));
            from.on('close', () => to.destroy());
            from.on('error', () => to.destroy());
          }
        });
        relays.push(detour);
        return await meet(rank)(blob, signal);
      };
      const addresses = ['127.0.0.3', '127.0.0.1'];
      return connectCollective(settingsOf(rank, 2), gather, { host: '127.0.0.1', addresses });
    }),
  );
  context.after(() => Promise.all(ranks.map((rank) => rank.close())));
  assert.equal(ranks[0]!.paths[0]!.remoteAddress, '127.0.0.1');
  assert.equal(ranks[1]!.paths[0]!.remoteAddress, '127.0.0.1');
});

test('links can be bound to addresses of this machine', LIMIT, async (context) => {
  const ranks = await startWorld(context, 'ring', 3, {
    host: '127.0.0.1',
    localAddresses: ['127.0.0.5', '::1'],
  });
  const dialled = ranks.flatMap(({ paths }) => paths).filter(({ roundTripUs }) => roundTripUs !== null);
  assert.equal(dialled.length, 3);
  for (const { localAddress } of dialled) assert.equal(localAddress, '127.0.0.5');
});

test('ranks meet on all addresses of the machine, also in the open', LIMIT, async (context) => {
  const meet = meetingOf(2);
  const ranks = await Promise.all(
    [0, 1].map((rank) => connectCollective(settingsOf(rank, 2), meet(rank), { encryption: 'none' })),
  );
  context.after(() => Promise.all(ranks.map((rank) => rank.close())));
  const sums = ranks.map(() => Float32Array.of(1, 2));
  await Promise.all(ranks.map((rank, index) => rank.allReduce(sums[index]!)));
  assert.deepEqual(sums, [Float32Array.of(2, 4), Float32Array.of(2, 4)]);
});

test('200 worlds, begun and ended, leave no socket', LIMIT, async () => {
  const before = handles();
  for (let round = 0; round < 200; round += 1) {
    const meet = meetingOf(2);
    const ranks = await Promise.all(
      [0, 1].map((rank) => connectCollective(settingsOf(rank, 2), meet(rank), LOOPBACK)),
    );
    await Promise.all(ranks.map((rank) => rank.close()));
  }
  await until('no socket is left', () => handles() <= before);
});

async function openPort(host: string, port: number, onSocket: (socket: Socket) => void): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  return server;
}
