import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from '../../shared/limits.js';
import { encodeFrame, encodeHeader, FRAME, type FrameType, WireError, WireReader } from './wire.js';

const CUT_UP: ReadonlySet<FrameType> = new Set([FRAME.control, FRAME.streamData]);

test('frames come back whole and in order, however the bytes are cut', () => {
  const frame = fc.record({
    type: fc.constantFrom(...Object.values(FRAME)),
    streamId: fc.integer({ min: 0, max: 0xffff_ffff }),
    payload: fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
  });
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 40 })),
      (frames, cuts) => {
        const bytes = Buffer.concat(
          frames.map((entry) => encodeFrame(entry.type, entry.streamId, entry.payload)),
        );
        const reader = new WireReader();
        const received: { type: FrameType; streamId: number; payload: Buffer }[] = [];
        let start = 0;
        for (const cut of [...cuts, bytes.length]) {
          const end = Math.min(bytes.length, start + cut);
          reader.append(bytes.subarray(start, end));
          for (let next = reader.next(); next !== null; next = reader.next()) received.push(next);
          start = end;
        }
        // Pieces of one stream are one byte stream: joined, both sides must be the same.
        assert.deepEqual(joined(received), joined(frames));
      },
    ),
  );
});

function joined(frames: readonly { type: FrameType; streamId: number; payload: Buffer }[]): unknown[] {
  const result: { type: FrameType; streamId: number; payload: string }[] = [];
  for (const { type, streamId, payload } of frames) {
    const last = result.at(-1);
    if (CUT_UP.has(type) && payload.length === 0) continue;
    if (last !== undefined && CUT_UP.has(type) && last.type === type && last.streamId === streamId) {
      last.payload += payload.toString('hex');
    } else result.push({ type, streamId, payload: payload.toString('hex') });
  }
  return result;
}

test('a frame that is too long or of no known type is refused at its header', () => {
  const tooLong = new WireReader();
  tooLong.append(encodeHeader(FRAME.streamData, 1, LIMITS.linkFrameBytes + 1));
  assert.throws(() => tooLong.next(), WireError);
  const longHello = new WireReader();
  longHello.limitBytes = 10;
  longHello.append(encodeHeader(FRAME.hello, 0, 11));
  assert.throws(() => longHello.next(), WireError);
  const unknown = new WireReader();
  unknown.append(Buffer.from('GET / HTTP/1.1\r\n'));
  assert.throws(() => unknown.next(), WireError);
});
