/** What the other node may do wrong on purpose, by another version, or by dying: byte by byte. */
import assert from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeFrame } from '../../shared/frames.js';
import type { GenerationEvent } from '../../shared/generation.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { TEST_REQUEST as request } from '../../shared/testing.js';
import type { MemoryPipeEnd } from '../calls/testing/memoryPipe.js';
import { TestNetwork } from '../calls/testing/testNetwork.js';
import { until } from '../calls/testing/until.js';
import { GENERATION_PROTOCOL_VERSION, GENERATION_STREAM } from './protocol.js';
import { RemoteGenerations } from './remoteGenerations.js';
import { CLIENT, delta, ENDING, endCode, RUNNER, readAll, SERVER, STARTED, twoNodes } from './testing.js';

const HEAD = { version: GENERATION_PROTOCOL_VERSION, runnerId: RUNNER };
const ANSWER = [STARTED, delta('one'), delta('zwölf 🐟'), ...ENDING];
const frame = (message: unknown) => encodeFrame(message, LIMITS.runnerFrameBytes);
const bytesOf = (messages: readonly unknown[]) => Buffer.concat(messages.map(frame));
const tick = () => new Promise((resolve) => setImmediate(resolve));

/** A client whose serving node is the test: it writes the bytes. */
async function servedByTest({ closes = true } = {}) {
  const network = new TestNetwork();
  let stream: Duplex | null = null;
  network.node(SERVER).serveStreams(GENERATION_STREAM, (_from, _head, opened) => {
    stream = opened;
    // Unread bytes would keep the end of the stream from being seen.
    opened.on('error', () => opened.destroy());
    if (closes) opened.on('end', () => opened.end());
    opened.resume();
  });
  const remote = new RemoteGenerations({ links: network.node(CLIENT) });
  const events = remote.open(SERVER, RUNNER, request);
  await until('the stream is open', () => stream !== null);
  return { remote, events, links: network.node(CLIENT), stream: stream as unknown as Duplex };
}

/** A serving node whose client is the test. */
async function askedByTest(head: Record<string, unknown> = HEAD) {
  const nodes = twoNodes();
  const stream = (await nodes.links.openStream(
    SERVER,
    GENERATION_STREAM,
    head,
    new AbortController().signal,
  )) as MemoryPipeEnd;
  const received: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => received.push(chunk));
  stream.on('error', () => stream.destroy());
  stream.on('end', () => stream.end());
  return { ...nodes, stream, text: () => Buffer.concat(received).toString('latin1') };
}

function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let start = 0;
  for (const size of [...sizes, bytes.length]) {
    const piece = bytes.subarray(start, start + size);
    if (piece.length > 0) pieces.push(piece);
    start += size;
  }
  return pieces;
}

test('R1: the same events come out however the bytes are cut, and wherever they stop or turn to garbage', async () => {
  const bytes = bytesOf(ANSWER);
  const ends = ANSWER.map((_, index) => bytesOf(ANSWER.slice(0, index + 1)).length);
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 60 }),
      fc.nat(bytes.length),
      fc.constantFrom('close', 'cut', 'garbage'),
      async (sizes, at, how) => {
        // Garbage in the middle of a frame would only be another message.
        const stopAt = how === 'garbage' ? (ends.findLast((end) => end <= at) ?? 0) : at;
        const { events, stream, remote } = await servedByTest();
        const garbage = Buffer.alloc(64, 0xff);
        const sent =
          how === 'garbage' ? Buffer.concat([bytes.subarray(0, stopAt), garbage]) : bytes.subarray(0, stopAt);
        for (const piece of cut(sent, sizes)) stream.write(piece);
        if (how === 'close') stream.end();
        else if (how === 'cut') stream.end(() => stream.destroy());
        const read = await readAll(events);
        const whole = ANSWER.slice(0, ends.filter((end) => end <= stopAt).length);
        assert.deepEqual(read.slice(0, whole.length), whole);
        if (whole.length === ANSWER.length) assert.equal(read.length, whole.length);
        else {
          assert.equal(read.length, whole.length + 1);
          const code = await endCode(events);
          assert.equal(code, how === 'garbage' ? 'peer_protocol_error' : 'node_lost');
        }
        await until('nothing is open', () => remote.openCount === 0 && stream.destroyed);
      },
    ),
    { numRuns: 150 },
  );
});

const hostileEvents: Record<string, readonly unknown[]> = {
  'no map': [[1, 2]],
  'an unknown kind': [{ kind: 'image' }],
  'an unknown field': [{ ...STARTED, extra: 1 }],
  'a missing field': [{ kind: 'started', promptTokens: 1 }],
  'a fraction of a token': [STARTED, { ...delta('x'), tokens: [1.5] }],
  'a choice that nobody asked for': [STARTED, delta('x', 1)],
  'a choice past every bound': [STARTED, delta('x', 1e9)],
  'a delta before the start': [delta('x')],
  'two starts': [STARTED, STARTED],
  'a finish without its choices': [STARTED, ENDING[1]],
  'a choice that goes on after its end': [STARTED, ENDING[0], delta('x')],
  'a fault without a code': [{ kind: 'failed', fault: { message: 'x' } }],
  'a fault with an unknown code': [{ kind: 'failed', fault: { code: 'toString', message: 'x' } }],
  'more tokens than any answer has': [
    STARTED,
    { ...delta('x'), tokens: new Array(LIMITS.promptTokens + 1).fill(7) },
  ],
  'more choices of alternatives than there are': [
    STARTED,
    { ...delta('x'), logprobs: [{ token: 'x', bytes: [300], logprob: 0, top: [] }] },
  ],
};

for (const [name, messages] of Object.entries(hostileEvents)) {
  test(`R1: ${name} ends the stream with peer_protocol_error`, async () => {
    const { events, stream } = await servedByTest();
    stream.write(bytesOf(messages));
    assert.equal(await endCode(events), 'peer_protocol_error');
    await until('the stream is closed', () => stream.destroyed || stream.readableEnded);
  });
}

test('a fault keeps only what can be written as JSON', async () => {
  const { events, stream } = await servedByTest();
  const fault = {
    code: 'engine_error',
    message: 'm',
    details: { big: 2n ** 62n },
    param: 7,
    retryAfterMs: -1,
  };
  stream.write(bytesOf([{ kind: 'failed', fault }]));
  assert.deepEqual(await events.ended, { kind: 'failed', fault: { code: 'engine_error', message: 'm' } });
});

test('R1: what comes after the last event is dropped, and an other end that does not close is cut', async (context) => {
  const { events, stream, links } = await servedByTest({ closes: false });
  context.mock.timers.enable({ apis: ['setTimeout'] });
  stream.write(
    bytesOf([...ANSWER, delta('late'), { kind: 'failed', fault: { code: 'engine_error', message: 'x' } }]),
  );
  assert.deepEqual(await readAll(events), ANSWER);
  await tick();
  stream.write(bytesOf([delta('later')]));
  await tick();
  const [end] = links.opened[0]!;
  assert.equal(end.destroyed, false);
  context.mock.timers.tick(TIMES.peerLingerMs);
  assert.equal(end.destroyed, true);
});

test('an answer that its consumer does not read is bounded', async () => {
  const { events, stream } = await servedByTest();
  stream.write(bytesOf([STARTED]));
  const piece = bytesOf([delta('x'.repeat(500_000))]);
  let sent = 0;
  while (!events.isEnded) {
    stream.write(piece);
    sent += piece.length;
    await tick();
    assert.ok(sent < 4 * (LIMITS.streamBufferBytes + LIMITS.eventFrameBytes), 'it is never refused');
  }
  assert.equal(await endCode(events), 'client_too_slow');
});

test('a node that does not read its answer: the generation ends at the bound', async () => {
  const { stream, produced, server } = await askedByTest();
  stream.write(bytesOf([{ kind: 'request', request }]));
  await until('it runs', () => produced.length === 1);
  stream.pause();
  const answer = produced[0]!.stream;
  answer.push(STARTED);
  let sent = 0;
  while (!answer.isEnded) {
    answer.push(delta('x'.repeat(100_000)));
    sent += 100_000;
    await tick();
    assert.ok(sent < 2 * LIMITS.streamBufferBytes, 'it is never refused');
  }
  assert.equal(await endCode(answer), 'client_too_slow');
  stream.destroy();
  await until('it is closed', () => server.openCount === 0);
});

const hostileRequests: Record<string, readonly unknown[]> = {
  'no map': ['hello'],
  'a cancel before the request': [{ kind: 'cancel', fault: { code: 'cancelled', message: 'x' } }],
  'a field too many': [{ kind: 'request', request: { ...request, tools: [] } }],
  'a field too few': [{ kind: 'request', request: { ...request, deadlineMs: undefined } }],
  'a text that is none': [{ kind: 'request', request: { ...request, input: { kind: 'text', text: 5 } } }],
  'a token that is none': [
    { kind: 'request', request: { ...request, input: { kind: 'tokens', tokens: [-1] } } },
  ],
  'a million choices': [{ kind: 'request', request: { ...request, choices: 1e6 } }],
  'an endless deadline': [{ kind: 'request', request: { ...request, deadlineMs: Number.POSITIVE_INFINITY } }],
  'no temperature': [
    { kind: 'request', request: { ...request, sampling: { seed: 1, temperature: Number.NaN } } },
  ],
  'a failpoint that is none': [
    { kind: 'request', request: { ...request, failpoint: { name: 'x', arg: null } } },
  ],
};

for (const [name, messages] of Object.entries(hostileRequests)) {
  test(`R12: ${name} instead of a request is refused with a code, and nothing runs`, async () => {
    const { stream, produced, server, text } = await askedByTest();
    stream.write(bytesOf(messages));
    await until('it is refused', () => server.openCount === 0 || stream.readableEnded);
    assert.match(text(), /peer_protocol_error/);
    assert.equal(produced.length, 0);
  });
}

test('another version of the protocol is refused with both versions', async () => {
  const head = { ...HEAD, version: 99 };
  await assert.rejects(askedByTest(head), {
    code: 'peer_protocol_error',
    message: new RegExp(`version 99 .* this node ${GENERATION_PROTOCOL_VERSION}`),
  });
  await assert.rejects(askedByTest({}), { code: 'peer_protocol_error' });
  await assert.rejects(askedByTest({ ...HEAD, runnerId: '' }), { code: 'peer_protocol_error' });
});

test('R12: garbage after the request ends the generation with a code that its node hears', async () => {
  for (const garbage of [
    Buffer.alloc(16, 0xff),
    frame({ kind: 'request', request }),
    Buffer.from([0, 0, 0, 1]),
  ]) {
    const { stream, produced, server, text } = await askedByTest();
    stream.write(Buffer.concat([bytesOf([{ kind: 'request', request }]), garbage]));
    await until('it runs', () => produced.length === 1);
    // An endless cancel: its length is within what a request may have.
    if (garbage.length === 4) stream.write(Buffer.alloc(LIMITS.callBodyBytes + 1));
    assert.equal(await endCode(produced[0]!.stream), 'peer_protocol_error');
    await until('it is closed', () => server.openCount === 0);
    assert.match(text(), /peer_protocol_error/);
  }
});

test('requests that arrive at once share a bound, and give it back', async () => {
  const nodes = twoNodes();
  const share = LIMITS.arrivingRequestBytes / 16;
  const open = () => nodes.links.openStream(SERVER, GENERATION_STREAM, HEAD, new AbortController().signal);
  // The header promises a frame that never ends.
  const header = Buffer.alloc(4);
  header.writeUInt32LE(LIMITS.runnerFrameBytes);
  const start = Buffer.concat([header, Buffer.alloc(share - header.length)]);
  const streams = await Promise.all(Array.from({ length: 17 }, open));
  for (const stream of streams) {
    stream.on('error', () => stream.destroy());
    stream.resume();
    stream.write(start);
  }
  await until('one is refused', () => streams.some((stream) => stream.readableEnded));
  assert.equal(streams.filter((stream) => stream.readableEnded).length, 1);
  for (const stream of streams) stream.destroy();
  await until('all are gone', () => nodes.server.openCount === 0);
  const events = nodes.remote.open(SERVER, RUNNER, request);
  await until('there is room again', () => nodes.produced.length === 1);
  events.abort({ code: 'cancelled', message: 'x' });
});

test('a request that does not arrive in time is refused, and its timer ends', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { stream, server, text } = await askedByTest();
  stream.write(bytesOf([{ kind: 'request', request }]).subarray(0, 10));
  await tick();
  context.mock.timers.tick(TIMES.requestReceiveMs);
  await until('it is refused', () => stream.readableEnded);
  assert.match(text(), /deadline_exceeded/);
  stream.end();
  await until('it is closed', () => server.openCount === 0);
});

const FAULT = { code: 'cancelled', message: 'x' } as const;
const STEPS = ['event', 'finish', 'fail', 'abort', 'cut here', 'cut there', 'lost', 'garbage'] as const;

test('R1: exactly one end, the same for every reader, whatever comes in whatever order; nothing is left', async () => {
  const outcomes = new Set<string | null>();
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom('tick' as const) },
    { weight: 2, arbitrary: fc.constantFrom('event' as const) },
    { weight: 3, arbitrary: fc.constantFrom(...STEPS) },
  );
  await fc.assert(
    fc.asyncProperty(fc.nat(6), fc.array(step, { maxLength: 14 }), async (ticksBefore, plan) => {
      const nodes = twoNodes();
      const events = nodes.remote.open(SERVER, RUNNER, request);
      let ends = 0;
      void events.ended.then(() => {
        ends += 1;
      });
      const reading = readAll(events);
      const coming = [STARTED, delta('a'), delta('b')];
      const push = (event: GenerationEvent) => nodes.produced[0]?.stream.push(event);
      const act: Record<(typeof STEPS)[number] | 'tick', () => unknown> = {
        event: () => push(coming.shift() ?? delta('c')),
        finish: () => [...coming.splice(0), ...ENDING].map(push),
        fail: () => push({ kind: 'failed', fault: { code: 'engine_error', message: 'x' } }),
        abort: () => events.abort(FAULT),
        'cut here': () => nodes.links.opened[0]?.[0].destroy(),
        'cut there': () => nodes.links.opened[0]?.[1].destroy(),
        lost: () => nodes.remote.closeAllTo(SERVER, { code: 'not_ready', message: 'dead' }),
        garbage: () => nodes.links.opened[0]?.[0].emit('data', Buffer.alloc(8, 0xff)),
        tick: () => undefined,
      };
      for (let i = 0; i < ticksBefore; i += 1) await tick();
      for (const step of plan) {
        act[step]();
        if (step === 'tick') await tick();
      }
      for (let i = 0; i < 4; i += 1) await tick();
      events.abort(FAULT);
      const read = await reading;
      assert.equal(read.filter(({ kind }) => kind === 'finished' || kind === 'failed').length, 1);
      assert.deepEqual(read.at(-1), await events.ended);
      assert.equal(ends, 1);
      outcomes.add(await endCode(events));
      await until('nothing is open', () => nodes.remote.openCount === 0 && nodes.server.openCount === 0);
      await until('all is closed', () => nodes.links.opened.every((pair) => pair.every((end) => end.closed)));
      for (const { stream } of nodes.produced) assert.equal(stream.isEnded, true);
    }),
    { numRuns: 500 },
  );
  const possible = [null, 'engine_error', 'cancelled', 'node_lost', 'not_ready', 'peer_protocol_error'];
  assert.deepEqual(
    possible.filter((code) => !outcomes.has(code)),
    [],
  );
});
