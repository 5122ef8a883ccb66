import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { encodeFrame, FrameReader } from '../shared/frames.js';
import { LIMITS } from '../shared/limits.js';
import type { FromRunner, ToRunner } from '../shared/runnerProtocol.js';
import { NodeChannel } from './nodeChannel.js';

/** The other end, which reads only when it is told to. */
class FarEnd extends Duplex {
  readonly received: Buffer[] = [];
  reads = true;

  override _read(): void {
    // Data comes by `push`.
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.received.push(chunk);
    if (this.reads) done();
  }

  get messages(): unknown[] {
    return new FrameReader(LIMITS.runnerFrameBytes).push(Buffer.concat(this.received));
  }
}

function connect() {
  const farEnd = new FarEnd();
  const heard: ToRunner[] = [];
  const broken: string[] = [];
  let closed = 0;
  const channel = new NodeChannel(farEnd, {
    onMessage: (message) => heard.push(message) > 0,
    onClosed: () => {
      closed += 1;
    },
    onBroken: (reason) => broken.push(reason),
  });
  return { farEnd, heard, broken, channel, timesClosed: () => closed };
}

const EVENT: FromRunner = {
  kind: 'event',
  request: 1,
  event: { kind: 'delta', choice: 0, text: 'x'.repeat(1 << 20), tokens: [] },
};
const later = () => new Promise((resolve) => setImmediate(resolve));

test('messages go out in one write and come in whatever their cuts', async () => {
  const { farEnd, heard, channel } = connect();
  channel.send({ kind: 'hello', version: 1, pid: 2 }, { kind: 'phase', phase: 'ready', progress: null });
  assert.equal(farEnd.received.length, 1);
  assert.deepEqual(
    farEnd.messages.map((message) => (message as FromRunner).kind),
    ['hello', 'phase'],
  );
  const frame = encodeFrame({ kind: 'cancel', request: 7 }, LIMITS.runnerFrameBytes);
  for (const byte of frame) farEnd.push(Buffer.of(byte));
  await later();
  assert.deepEqual(heard, [{ kind: 'cancel', request: 7 }]);
});

test('a node that does not read breaks the channel once, before memory runs out', () => {
  const { farEnd, broken, channel } = connect();
  farEnd.reads = false;
  for (let count = 0; count < 100; count++) channel.send(EVENT);
  assert.equal(broken.length, 1);
  assert.match(broken[0]!, /does not read/);
  assert.ok(farEnd.writableLength < LIMITS.runnerWriteBufferBytes + 4 * (1 << 20));
});

test('garbage breaks the channel once, and nothing after it is heard', async () => {
  for (const garbage of [
    Buffer.alloc(8, 0xff),
    encodeFrame({ kind: 'unknown' }, 100),
    encodeFrame(null, 100),
  ]) {
    const { farEnd, heard, broken, channel } = connect();
    farEnd.push(garbage);
    farEnd.push(garbage);
    farEnd.push(encodeFrame({ kind: 'shutdown' }, 100));
    await later();
    assert.equal(broken.length, 1);
    assert.deepEqual(heard, []);
    channel.send(EVENT);
    assert.deepEqual(farEnd.received, []);
  }
});

test('the end of the other side is told once', async () => {
  const { farEnd, timesClosed, broken } = connect();
  farEnd.push(null);
  await later();
  await later();
  assert.equal(timesClosed(), 1);
  assert.deepEqual(broken, []);
  const failing = connect();
  failing.farEnd.destroy(new Error('reset'));
  await later();
  assert.equal(failing.timesClosed(), 1);
});

test('a last message is written even on a broken channel, and calls back when it cannot be', async () => {
  const { farEnd, channel } = connect();
  farEnd.push(Buffer.alloc(8, 0xff));
  await later();
  const fatal: FromRunner = { kind: 'fatal', fault: { code: 'runner_failed', message: 'why' } };
  await new Promise<void>((resolve) => channel.sendLast(fatal, resolve));
  assert.deepEqual(farEnd.messages, [fatal]);
  farEnd.destroy();
  await new Promise<void>((resolve) => channel.sendLast(fatal, resolve));
});

test('R46: nothing more is taken once reading has stopped, not even from the same piece', async () => {
  const { farEnd, heard, channel } = connect();
  const frame = (request: number) => encodeFrame({ kind: 'cancel', request }, LIMITS.runnerFrameBytes);
  farEnd.push(frame(1));
  await later();
  const taken = heard.push;
  heard.push = (...messages) => {
    channel.stopReading();
    return taken.apply(heard, messages);
  };
  farEnd.push(Buffer.concat([frame(2), frame(3)]));
  await later();
  farEnd.push(frame(4));
  await later();
  assert.deepEqual(
    heard.map((message) => 'request' in message && message.request),
    [1, 2],
  );
  assert.equal(channel.received, 2);
});
