import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeFrame, FrameError } from '../../shared/frames.js';
import { TIMES } from '../../shared/limits.js';
import { FramedStream } from './framedStream.js';
import { MemoryPipeEnd } from './testing/memoryPipe.js';
import { until } from './testing/until.js';

function setUp() {
  const [near, far] = MemoryPipeEnd.pair();
  const told: unknown[] = [];
  const framed = new FramedStream(
    near,
    {
      onMessage: (message) => told.push(message),
      onBroken: (reason) => told.push(`broken: ${reason}`),
      onGarbage: (reason) => told.push(`garbage: ${reason.slice(0, 7)}`),
      onClosed: () => told.push('closed'),
    },
    { readLimitBytes: 1_000 },
  );
  far.on('error', () => far.destroy());
  far.resume();
  return { near, far, told, framed };
}

test('messages of one tick leave in one write, also when the stream is left at once', async () => {
  const { near, far, framed, told } = setUp();
  const chunks: Buffer[] = [];
  far.on('data', (chunk: Buffer) => chunks.push(chunk));
  framed.send('one', 100);
  framed.send('two', 100);
  assert.ok(framed.unsentBytes > 0);
  framed.leave();
  framed.send('never', 100);
  await until('all has come', () => far.readableEnded);
  assert.deepEqual(Buffer.concat(chunks), Buffer.concat([encodeFrame('one', 100), encodeFrame('two', 100)]));
  assert.equal(near.writes, 1);
  far.end();
  await until('it is closed', () => told.length === 1);
  assert.deepEqual(told, ['closed']);
  assert.equal(near.closed, true);
});

test('the other end breaks it: told once, then closed', async () => {
  for (const breakIt of [(far: MemoryPipeEnd) => far.end(), (far: MemoryPipeEnd) => far.destroy()]) {
    const { far, told } = setUp();
    breakIt(far);
    await until('it is closed', () => told.includes('closed'));
    assert.equal(told.length, 2);
    assert.match(String(told[0]), /^broken: /);
  }
});

test('a stream that was closed before it came here is told of like any other', async () => {
  const [near, far] = MemoryPipeEnd.pair();
  far.on('error', () => far.destroy());
  near.destroy();
  await until('it is closed', () => near.closed);
  const told: string[] = [];
  const listener = {
    onMessage: () => told.push('message'),
    onBroken: () => told.push('broken'),
    onGarbage: () => told.push('garbage'),
    onClosed: () => told.push('closed'),
  };
  const framed = new FramedStream(near, listener, { readLimitBytes: 1 });
  framed.send('dropped', 100);
  await until('it is told', () => told.length === 2);
  assert.deepEqual(told, ['broken', 'closed']);
});

test('nothing is read after garbage, and nothing is told after the stream was left', async () => {
  const { near, far, told, framed } = setUp();
  far.write(Buffer.concat([encodeFrame('good', 100), Buffer.from([2, 0, 0, 0, 0xc1, 0xc1])]));
  far.write(encodeFrame('late', 100));
  await until('it is told', () => told.length === 2);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(told, ['good', 'garbage: a frame']);
  framed.destroy();
  await until('it is closed', () => told.length === 3);
  assert.equal(told[2], 'closed');
  assert.equal(near.closed, true);
});

test('a message over the limit is refused to its sender', () => {
  const { framed } = setUp();
  assert.throws(() => framed.send('x'.repeat(100), 50), FrameError);
  framed.destroy();
});

test('an other end that does not close is cut, and the timer ends with the stream', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { near, far, framed } = setUp();
  framed.leave();
  await until('the end has come', () => far.readableEnded);
  context.mock.timers.tick(TIMES.peerLingerMs - 1);
  assert.equal(near.destroyed, false);
  context.mock.timers.tick(1);
  assert.equal(near.destroyed, true);
});
