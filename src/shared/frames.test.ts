import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeFrame, FrameError, FrameReader } from './frames.js';

const LIMIT_BYTES = 1 << 20;

test('frames come back whole and in order, however the stream is cut', () => {
  const message = fc.record(
    { kind: fc.string(), number: fc.integer(), text: fc.string({ unit: 'binary' }) },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(fc.array(message, { maxLength: 10 }), fc.array(fc.nat(40)), (messages, cuts) => {
      const stream = Buffer.concat(messages.map((entry) => encodeFrame(entry, LIMIT_BYTES)));
      const reader = new FrameReader(LIMIT_BYTES);
      const received: unknown[] = [];
      let start = 0;
      for (const cut of [...cuts, stream.length]) {
        const end = Math.min(stream.length, start + cut);
        received.push(...reader.push(stream.subarray(start, end)));
        start = end;
      }
      assert.deepEqual(received, messages);
    }),
  );
});

test('the messages before a bad frame come out first', () => {
  const good = encodeFrame('good', LIMIT_BYTES);
  const garbage = Buffer.from([2, 0, 0, 0, 0xc1, 0xc1]);
  const messages = new FrameReader(LIMIT_BYTES).messages(Buffer.concat([good, garbage, good]));
  assert.deepEqual(messages.next(), { done: false, value: 'good' });
  assert.throws(() => messages.next(), FrameError);
});

test('R12: a message that comes byte by byte comes whole, and so does the next', () => {
  const messages = ['x'.repeat(300_000), 'next'];
  const stream = Buffer.concat(messages.map((entry) => encodeFrame(entry, LIMIT_BYTES)));
  const reader = new FrameReader(LIMIT_BYTES);
  const received: unknown[] = [];
  for (let i = 0; i < stream.length; i += 1) {
    received.push(...reader.push(stream.subarray(i, i + 1)));
  }
  assert.deepEqual(received, messages);
});

test('R12: a length past the limit and bytes that are no message are refused at once', () => {
  const tooLong = Buffer.alloc(4);
  tooLong.writeUInt32LE(LIMIT_BYTES + 1);
  assert.throws(() => new FrameReader(LIMIT_BYTES).push(tooLong), FrameError);
  const garbage = Buffer.from([2, 0, 0, 0, 0xc1, 0xc1]);
  assert.throws(() => new FrameReader(LIMIT_BYTES).push(garbage), FrameError);
  assert.throws(() => encodeFrame('x'.repeat(100), 50), FrameError);
});
