import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GenerationRequest } from '../../shared/generation.js';
import { GenerationStream } from '../../shared/generationStream.js';
import { LIMITS } from '../../shared/limits.js';
import { TEST_REQUEST as request } from '../../shared/testing.js';
import { MemoryPipeEnd } from '../calls/testing/memoryPipe.js';
import { TestNetwork } from '../calls/testing/testNetwork.js';
import { until } from '../calls/testing/until.js';
import { GenerationServer } from './generationServer.js';
import { RemoteGenerations } from './remoteGenerations.js';
import { RequestRouter } from './requestRouter.js';
import { CLIENT, delta, ENDING, endCode, RUNNER, readAll, SERVER, STARTED, twoNodes } from './testing.js';

const CANCELLED = { code: 'cancelled', message: 'by the test' } as const;
const DEAD = { code: 'node_lost', message: 'declared dead' } as const;

async function running(nodes: ReturnType<typeof twoNodes>, asked: GenerationRequest = request) {
  const events = nodes.remote.open(SERVER, RUNNER, asked);
  await until('the request has come', () => nodes.produced.length > 0);
  return { events, there: nodes.produced.at(-1)!.stream };
}

async function nothingIsLeft({ remote, server, links }: ReturnType<typeof twoNodes>): Promise<void> {
  await until('no generation is open', () => remote.openCount === 0 && server.openCount === 0);
  await until('both ends are closed', () => links.opened.every((pair) => pair.every((end) => end.closed)));
}

test('a request crosses whole, and its answer comes back as it was', async () => {
  const nodes = twoNodes();
  const full: GenerationRequest = {
    ...request,
    input: {
      kind: 'chat',
      messages: [
        { role: 'user', content: 'Grüße 🐟', name: 'n' },
        { role: 'assistant', content: null },
      ],
      enableThinking: false,
    },
    sampling: { seed: -5, temperature: 0.5, topK: 3, logitBias: [[4, -1.5]] },
    stop: ['\n\n'],
    topLogprobs: 2,
    choices: 2,
    maxTokens: 5,
  };
  const { events, there } = await running(nodes, full);
  assert.deepEqual(nodes.produced[0]?.request, full);
  assert.equal(nodes.produced[0]?.runnerId, RUNNER);
  const token = { token: 'x', bytes: [0xf0, 0x9f], logprob: -0.25 };
  const answer = [
    { ...STARTED, reasoning: { open: '<think>', close: '</think>', isOpen: true } },
    { ...delta('a', 1), logprobs: [{ ...token, top: [{ ...token, logprob: Number.NEGATIVE_INFINITY }] }] },
    delta(''),
    { kind: 'choice_finished', choice: 1, reason: 'length' } as const,
    ...ENDING,
  ];
  for (const event of answer) there.push(event);
  assert.deepEqual(await readAll(events), answer);
  await nothingIsLeft(nodes);
});

test('events that are ready at once leave in one write', async () => {
  const nodes = twoNodes();
  const { events, there } = await running(nodes);
  const [, servingEnd] = nodes.links.opened[0] as [MemoryPipeEnd, MemoryPipeEnd];
  for (const event of [STARTED, ...Array.from({ length: 50 }, () => delta('x')), ...ENDING])
    there.push(event);
  assert.equal((await readAll(events)).length, 53);
  assert.equal(servingEnd.writes, 1);
});

test('R11: an abort at the client ends the generation on the other node with the same fault', async () => {
  const nodes = twoNodes();
  const { events, there } = await running(nodes);
  there.push(STARTED);
  events.abort(CANCELLED);
  assert.deepEqual(await there.ended, { kind: 'failed', fault: CANCELLED });
  assert.deepEqual(await events.ended, { kind: 'failed', fault: CANCELLED });
  await nothingIsLeft(nodes);
});

test('R1: a stream that breaks ends as node_lost, which names the node, and stops the generation there', async () => {
  for (const broken of [0, 1] as const) {
    const nodes = twoNodes();
    const { events, there } = await running(nodes);
    there.push(STARTED);
    nodes.links.opened[0]?.[broken].destroy();
    const end = await events.ended;
    assert.equal(end.kind === 'failed' && end.fault.code, 'node_lost');
    assert.match(end.kind === 'failed' ? end.fault.message : '', /serving-node/);
    assert.equal(await endCode(there), 'node_lost');
    await nothingIsLeft(nodes);
  }
});

test('R6: a fault of the runner crosses with its code, message and details', async () => {
  const nodes = twoNodes();
  const { events, there } = await running(nodes);
  const fault = {
    code: 'runner_failed',
    message: 'SIGABRT',
    details: { signal: 6 },
    retryAfterMs: 5,
  } as const;
  there.fail(fault);
  assert.deepEqual(await readAll(events), [{ kind: 'failed', fault }]);
  await nothingIsLeft(nodes);
});

test('a fault too long for a frame is cut, not lost', async () => {
  const nodes = twoNodes();
  const { events, there } = await running(nodes);
  there.fail({
    code: 'template_error',
    message: 'm'.repeat(LIMITS.eventFrameBytes),
    details: { long: 'd'.repeat(LIMITS.eventFrameBytes) },
  });
  const end = await events.ended;
  assert.equal(end.kind === 'failed' && end.fault.code, 'template_error');
  assert.equal(end.kind === 'failed' && end.fault.message.length, LIMITS.faultMessageCharacters);
  assert.equal(end.kind === 'failed' && end.fault.details, undefined);
});

test('an event that cannot be sent ends the stream with a code', async () => {
  const nodes = twoNodes();
  const { events, there } = await running(nodes);
  there.push(STARTED);
  there.push(delta('x'.repeat(LIMITS.eventFrameBytes)));
  assert.equal(await endCode(events), 'internal_error');
  assert.equal(await endCode(there), 'internal_error');
  await nothingIsLeft(nodes);
});

test('a request that the other node refuses or fails to start ends with its code', async () => {
  const network = new TestNetwork();
  const refusals = [
    () => {
      const stream = new GenerationStream();
      stream.fail({ code: 'runner_failed', message: 'runner is not on this node' });
      return stream;
    },
    (): GenerationStream => {
      throw new Error('a bug');
    },
  ];
  new GenerationServer({ links: network.node(SERVER), generate: () => refusals.shift()!() });
  const remote = new RemoteGenerations({ links: network.node(CLIENT) });
  assert.equal(await endCode(remote.open(SERVER, RUNNER, request)), 'runner_failed');
  assert.equal(await endCode(remote.open(SERVER, RUNNER, request)), 'internal_error');
  assert.equal(await endCode(remote.open('nobody' as typeof SERVER, RUNNER, request)), 'node_lost');
});

test('R50: a failpoint crosses only to a node that allows them', async () => {
  const asked: GenerationRequest = { ...request, failpoint: { name: 'runner.die', arg: null } };
  for (const allowFailpoints of [false, true]) {
    const network = new TestNetwork();
    const seen: GenerationRequest[] = [];
    const generate = (_: unknown, received: GenerationRequest) => {
      seen.push(received);
      const stream = new GenerationStream();
      stream.fail(CANCELLED);
      return stream;
    };
    new GenerationServer({ links: network.node(SERVER), generate }, { allowFailpoints });
    const events = new RemoteGenerations({ links: network.node(CLIENT) }).open(SERVER, RUNNER, asked);
    assert.equal(await endCode(events), allowFailpoints ? 'cancelled' : 'invalid_request');
    assert.deepEqual(seen, allowFailpoints ? [asked] : []);
  }
});

test('a request that is too long for a frame is refused here', async () => {
  const nodes = twoNodes();
  const text = 'x'.repeat(LIMITS.runnerFrameBytes);
  const events = nodes.remote.open(SERVER, RUNNER, { ...request, input: { kind: 'text', text } });
  assert.equal(await endCode(events), 'request_too_large');
  await nothingIsLeft(nodes);
});

test('R11: an abort before the stream is open leaves nothing on either node', async () => {
  const opening: (() => void)[] = [];
  const nodes = twoNodes(async () => {
    await new Promise<void>((resolve) => opening.push(resolve));
    return MemoryPipeEnd.pair();
  });
  const events = nodes.remote.open(SERVER, RUNNER, request);
  events.abort(CANCELLED);
  assert.deepEqual(await readAll(events), [{ kind: 'failed', fault: CANCELLED }]);
  opening[0]?.();
  await nothingIsLeft(nodes);
  assert.equal(nodes.produced.length, 0);
});

test('a link that opens the stream although it was told not to: the stream is cut, and nothing runs', async () => {
  const nodes = twoNodes();
  const deaf = {
    openStream: (...[to, kind, head]: Parameters<typeof nodes.links.openStream>) =>
      nodes.links.openStream(to, kind, head, new AbortController().signal),
  };
  const events = new RemoteGenerations({ links: deaf }).open(SERVER, RUNNER, request);
  events.abort(CANCELLED);
  await until('the stream was opened', () => nodes.links.opened.length > 0);
  await nothingIsLeft(nodes);
  assert.equal(nodes.produced.length, 0);
});

test('R56: the end of a node ends at once what runs on it and what it asked for, and nothing else', async () => {
  const nodes = twoNodes();
  const router = new RequestRouter(
    { generate: () => new GenerationStream(), remote: nodes.remote, server: nodes.server },
    { nodeId: CLIENT },
  );
  const { events, there } = await running(nodes);
  router.nodeLost('somebody else' as typeof SERVER, DEAD);
  assert.equal(events.isEnded, false);
  router.nodeLost(SERVER, DEAD);
  assert.deepEqual(await events.ended, { kind: 'failed', fault: DEAD });
  assert.equal(await endCode(there), 'node_lost');
  const second = await running(nodes);
  await until('it runs', () => nodes.produced.length === 2);
  nodes.server.closeAllFrom(CLIENT, DEAD);
  assert.deepEqual(await nodes.produced[1]?.stream.ended, { kind: 'failed', fault: DEAD });
  assert.equal(await endCode(second.events), 'node_lost');
  await nothingIsLeft(nodes);
});

test('a request for this node goes to its worker directly', async () => {
  const nodes = twoNodes();
  const own = new GenerationStream();
  const router = new RequestRouter(
    { generate: () => own, remote: nodes.remote, server: nodes.server },
    { nodeId: CLIENT },
  );
  assert.equal(router.openStream(CLIENT, RUNNER, request), own);
  const there = router.openStream(SERVER, RUNNER, request);
  await until('the request has come', () => nodes.produced.length === 1);
  there.abort(CANCELLED);
  await nothingIsLeft(nodes);
});
