import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from '../../shared/limits.js';
import { type FrameHandler, FrameStream } from './frameStream.js';
import { encodeHeader, type FrameHeader, HEADER_BYTES, KIND, type Kind, WireError } from './wire.js';

/** Keeps what comes and how it ends. */
class Recorder implements FrameHandler {
  readonly frames: { readonly header: FrameHeader; readonly payload: Uint8Array }[] = [];
  readonly ends: Error[] = [];

  open({ length }: FrameHeader): Uint8Array {
    return new Uint8Array(length);
  }

  complete(header: FrameHeader, payload: Uint8Array): void {
    this.frames.push({ header, payload });
  }

  ended(error: Error): void {
    this.ends.push(error);
  }
}

function streamOn(): { readonly socket: PassThrough; readonly recorder: Recorder } {
  const socket = new PassThrough();
  const recorder = new Recorder();
  new FrameStream(socket, recorder);
  return { socket, recorder };
}

const kinds = fc.constantFrom(KIND.tensor, KIND.part, KIND.result);
const frames = fc.array(
  fc.record({ kind: kinds, tag: fc.nat(), payload: fc.uint8Array({ maxLength: 80 }) }),
  { maxLength: 12 },
);

test('frames come out as they went in, however the bytes were cut', async () => {
  await fc.assert(
    fc.asyncProperty(frames, fc.array(fc.integer({ min: 1, max: 50 })), async (sent, cuts) => {
      const outgoing = new PassThrough();
      const writer = new FrameStream(outgoing, new Recorder());
      const bytes: Buffer[] = [];
      outgoing.on('data', (chunk: Buffer) => bytes.push(chunk));
      for (const { kind, tag, payload } of sent)
        writer.write(kind, tag, [payload.subarray(0, 2), payload.subarray(2)]);
      await new Promise((resolve) => setImmediate(resolve));
      const { socket, recorder } = streamOn();
      const all = Buffer.concat(bytes);
      let at = 0;
      for (const cut of [...cuts, all.length]) {
        socket.write(all.subarray(at, at + cut));
        at += cut;
      }
      await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(recorder.ends, []);
      assert.deepEqual(
        recorder.frames.map(({ header, payload }) => [header.kind, header.tag, Buffer.from(payload)]),
        sent.map(({ kind, tag, payload }) => [kind, tag, Buffer.from(payload)]),
      );
    }),
    { numRuns: 60 },
  );
});

const header = (kind: number, sequence: number, length = 0) =>
  encodeHeader(kind as Kind, sequence, 0, length);
const changed = (offset: number, value: number) => {
  const bytes = header(KIND.tensor, 0);
  bytes[offset] = value;
  return bytes;
};

const REFUSED: readonly (readonly [string, Buffer, RegExp])[] = [
  ['other bytes', Buffer.from('GET / HTTP/1.1\r\n'), /no frame/],
  ['another magic', changed(0, 1), /no frame/],
  ['another version', changed(2, 9), /version 9/],
  ['an unknown kind', changed(3, 99), /unknown kind 99/],
  ['kind 0', changed(3, 0), /unknown kind 0/],
  ['a repeated frame', Buffer.concat([header(KIND.tensor, 0), header(KIND.tensor, 0)]), /repeated or late/],
  ['a frame too early', Buffer.concat([header(KIND.tensor, 0), header(KIND.tensor, 2)]), /too early/],
  ['too long a tensor', header(KIND.tensor, 0, LIMITS.collectiveTensorBytes + 1), /over the limit/],
  ['too long a control frame', header(KIND.control, 0, LIMITS.collectiveControlBytes + 1), /over the limit/],
  ['a ping with a payload', header(KIND.ping, 0, 1), /over the limit/],
];

for (const [what, bytes, reason] of REFUSED) {
  test(`${what} ends the stream once, and nothing after it is read`, async () => {
    const { socket, recorder } = streamOn();
    socket.write(bytes);
    socket.write(header(KIND.tensor, 1));
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(recorder.ends.length, 1);
    assert.ok(recorder.ends[0] instanceof WireError);
    assert.match(recorder.ends[0].message, reason);
    assert.ok(recorder.frames.length <= 1);
    socket.end();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(recorder.ends.length, 1);
  });
}

test('any bytes end in frames or in one refusal, never in an exception or in more memory than they announce', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: HEADER_BYTES, maxLength: 200 }), async (bytes) => {
      const { socket, recorder } = streamOn();
      socket.write(bytes);
      await new Promise((resolve) => setImmediate(resolve));
      assert.ok(recorder.ends.length <= 1);
    }),
    { numRuns: 200 },
  );
});
