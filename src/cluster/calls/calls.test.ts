import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ShoalError } from '../../shared/errors.js';
import { encodeFrame } from '../../shared/frames.js';
import type { CommandId, NodeId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { Calls } from './calls.js';
import { CancelCalls } from './cancelCalls.js';
import { CALL_PROTOCOL_VERSION, CALL_STREAM } from './protocol.js';
import { TestNetwork } from './testing/testNetwork.js';
import { until } from './testing/until.js';

const HERE = 'here' as NodeId;
const THERE = 'there' as NodeId;
const DEAD = { code: 'node_lost', message: 'declared dead' } as const;

function setUp() {
  const network = new TestNetwork();
  const bugs: unknown[] = [];
  const node = (name: NodeId) =>
    new Calls({ links: network.node(name), onBug: (call, error) => bugs.push([call, error]) });
  const [here, there] = [node(HERE), node(THERE)];
  const nothingIsLeft = async () => {
    await until('no call is open', () => here.openCount === 0 && there.openCount === 0);
    const { opened } = network.node(HERE);
    await until('all is closed', () => opened.every((pair) => pair.every((end) => end.closed)));
  };
  return { network, here, there, bugs, nothingIsLeft };
}

test('a call brings its body there, and the reply back', async () => {
  const { here, there, nothingIsLeft } = setUp();
  there.serve('double', (from, body) => ({ from, twice: (body as { value: number }).value * 2 }));
  const replies = await Promise.all([1, 2, 3].map((value) => here.call(THERE, 'double', { value })));
  assert.deepEqual(
    replies,
    [2, 4, 6].map((twice) => ({ from: HERE, twice })),
  );
  await nothingIsLeft();
});

test('a coded error crosses as it is; any other is a bug, told there and internal_error here', async () => {
  const { here, there, bugs, nothingIsLeft } = setUp();
  const bug = new TypeError('a bug');
  there.serve('refuse', () => {
    throw new ShoalError('placement_impossible', 'too big', { details: { nodes: [1] }, param: 'p' });
  });
  there.serve('break', async () => Promise.reject(bug));
  await assert.rejects(here.call(THERE, 'refuse', null), {
    code: 'placement_impossible',
    message: 'too big',
    details: { nodes: [1] },
    param: 'p',
  });
  assert.deepEqual(bugs, []);
  await assert.rejects(here.call(THERE, 'break', null), { code: 'internal_error' });
  assert.deepEqual(bugs, [['break', bug]]);
  await nothingIsLeft();
});

test('a call that nobody serves, and a node that is not there', async () => {
  const { here, nothingIsLeft } = setUp();
  await assert.rejects(here.call(THERE, 'nothing', {}), { code: 'peer_protocol_error', message: /nothing/ });
  await assert.rejects(here.call('nobody' as NodeId, 'nothing', {}), { code: 'node_lost' });
  await nothingIsLeft();
});

test('bodies and replies are bounded in both directions', async () => {
  const { here, there, bugs, nothingIsLeft } = setUp();
  const large = 'x'.repeat(LIMITS.callBodyBytes);
  there.serve('echo', (_, body) => body);
  there.serve('large', (_, body) => `${body}${large}`, { replyLimitBytes: 2 * LIMITS.callBodyBytes });
  await assert.rejects(here.call(THERE, 'echo', large), { code: 'request_too_large' });
  await assert.rejects(here.call(THERE, 'echo', large, { bodyLimitBytes: 2 * LIMITS.callBodyBytes }), {
    code: 'peer_protocol_error',
  });
  await assert.rejects(here.call(THERE, 'large', ''), { code: 'peer_protocol_error' });
  const reply = await here.call(THERE, 'large', '', { replyLimitBytes: 2 * LIMITS.callBodyBytes });
  assert.equal((reply as string).length, large.length);
  assert.deepEqual(bugs, []);
  there.serve('endless', () => large);
  await assert.rejects(here.call(THERE, 'endless', ''), { code: 'internal_error' });
  await nothingIsLeft();
});

/** Serves a call that ends only when it is told to; what it was told comes into `reasons`. */
function serveSleep(there: Calls) {
  const asleep = { calls: 0, reasons: [] as { code: string; message: string }[] };
  there.serve('sleep', (_from, _body, signal) => {
    asleep.calls += 1;
    return new Promise((_, reject) =>
      signal.addEventListener('abort', () => {
        asleep.reasons.push(signal.reason);
        reject(signal.reason);
      }),
    );
  });
  return asleep;
}

test('R1: a call that is not answered ends at its deadline, and its handler is told', async () => {
  const { here, there, bugs, nothingIsLeft } = setUp();
  const asleep = serveSleep(there);
  await assert.rejects(here.call(THERE, 'sleep', {}, { timeoutMs: 20 }), { code: 'deadline_exceeded' });
  await nothingIsLeft();
  assert.equal(asleep.reasons.length, asleep.calls);
  assert.deepEqual(bugs, []);
});

test('R11: a call that is taken back ends at once, and its handler is told', async () => {
  const { here, there, nothingIsLeft } = setUp();
  const asleep = serveSleep(there);
  const leaving = new AbortController();
  const taken = here.call(THERE, 'sleep', {}, { signal: leaving.signal });
  await until('it is at work', () => asleep.calls === 1);
  leaving.abort(new ShoalError('cancelled', 'taken back'));
  await assert.rejects(taken, { code: 'cancelled', message: 'taken back' });
  await nothingIsLeft();
  assert.deepEqual(
    asleep.reasons.map(({ code }) => code),
    ['node_lost'],
  );
  await assert.rejects(here.call(THERE, 'sleep', {}, { signal: leaving.signal }), { code: 'cancelled' });
  assert.equal(asleep.calls, 1);
});

test('a handler that does not end is told of the deadline, and its late reply is dropped', async (context) => {
  const { here, there, nothingIsLeft } = setUp();
  let reply: (value: unknown) => void = () => assert.fail('it is not at work');
  let told: unknown = null;
  there.serve('deaf', (_from, _body, signal) => {
    signal.addEventListener('abort', () => {
      told = signal.reason.code;
    });
    return new Promise((resolve) => {
      reply = resolve;
    });
  });
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const refused = assert.rejects(here.call(THERE, 'deaf', {}), { code: 'deadline_exceeded' });
  await until('it is at work', () => there.openCount === 1);
  for (let i = 0; i < 5; i += 1) await new Promise((resolve) => setImmediate(resolve));
  context.mock.timers.tick(TIMES.callMs);
  await refused;
  assert.ok(told === 'deadline_exceeded' || told === 'node_lost');
  await until('the caller has left', () => here.openCount === 0);
  assert.equal(there.openCount, 1);
  reply('late');
  await nothingIsLeft();
});

test('R56: the end of a node ends the calls to it and from it at once', async () => {
  const { here, there, nothingIsLeft } = setUp();
  const asleep = serveSleep(there);
  const first = here.call(THERE, 'sleep', {});
  await until('it is at work', () => asleep.calls === 1);
  here.closeAllTo(THERE, DEAD);
  await assert.rejects(first, DEAD);
  const refused = assert.rejects(here.call(THERE, 'sleep', {}), { code: 'node_lost' });
  await until('the second is at work', () => asleep.calls === 2);
  there.closeAllTo(HERE, DEAD);
  await refused;
  await nothingIsLeft();
  assert.equal(asleep.reasons[1]?.message, DEAD.message);
});

test('one node cannot have more calls at work than the bound', async () => {
  const { here, there, nothingIsLeft } = setUp();
  const release: (() => void)[] = [];
  there.serve('wait', () => new Promise<void>((resolve) => release.push(resolve)));
  const waiting = Array.from({ length: LIMITS.servedCalls }, () => here.call(THERE, 'wait', {}));
  await until('all are at work', () => release.length === LIMITS.servedCalls);
  await assert.rejects(here.call(THERE, 'wait', {}), {
    code: 'queue_full',
    retryAfterMs: TIMES.retryAfterMs,
  });
  for (const finish of release) finish();
  await Promise.all(waiting);
  await nothingIsLeft();
});

test('R12: a call of another version, or of garbage, is refused with a code', async () => {
  const { network, there, nothingIsLeft } = setUp();
  there.serve('echo', (_, body) => body);
  const head = { version: CALL_PROTOCOL_VERSION, call: 'echo', timeoutMs: 1_000 };
  const open = (sentHead: Record<string, unknown>) =>
    network.node(HERE).openStream(THERE, CALL_STREAM, sentHead, new AbortController().signal);
  for (const wrong of [{ version: 2 }, { timeoutMs: 'long' }, { timeoutMs: -1 }, { call: 'toString' }]) {
    await assert.rejects(open({ ...head, ...wrong }), { code: 'peer_protocol_error' });
  }
  const body = encodeFrame({ body: 1 }, 100);
  const garbage = [
    encodeFrame('no body', 100),
    Buffer.alloc(9, 0xff),
    Buffer.from([2, 0, 0, 0, 0xc1, 0xc1]),
    Buffer.concat([body, body]),
  ];
  for (const bytes of garbage) {
    const stream = await open(head);
    let text = '';
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    stream.on('end', () => stream.end());
    stream.write(bytes);
    await until('it is refused', () => stream.destroyed);
    assert.match(text, /peer_protocol_error/);
  }
  await nothingIsLeft();
});

test('R11: a cancel reaches the node where the request entered, whichever node was asked', async () => {
  const network = new TestNetwork();
  const names = ['a', 'b', 'c'] as NodeId[];
  const cancelled: string[] = [];
  const cancels = names.map((name) => {
    const calls = new Calls({ links: network.node(name), onBug: assert.ifError });
    const cancelHere = (commandId: CommandId) => {
      if (commandId !== `of ${name}`) return false;
      cancelled.push(commandId);
      return true;
    };
    return new CancelCalls({ calls, links: network.node(name), cancelHere });
  });
  const [a] = cancels as [CancelCalls, ...CancelCalls[]];
  assert.equal(await a.cancel('of c' as CommandId), true);
  assert.equal(await a.cancel('of a' as CommandId), true);
  assert.equal(await a.cancelOn(names[1]!, 'of b' as CommandId), true);
  assert.equal(await a.cancelOn(names[1]!, 'of c' as CommandId), false);
  assert.equal(await a.cancel('of nobody' as CommandId), false);
  assert.deepEqual(cancelled, ['of c', 'of a', 'of b']);
  network.node('silent');
  assert.equal(await a.cancel('of b' as CommandId), true);
  await assert.rejects(a.cancel('of nobody' as CommandId), { code: 'node_lost' });
});
