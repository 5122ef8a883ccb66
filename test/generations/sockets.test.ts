/** The request plane over real sockets: many streams at once, and a serving process that dies, freezes, or comes late. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { until } from '../../src/cluster/calls/testing/until.js';
import { GenerationServer } from '../../src/cluster/generations/generationServer.js';
import { RemoteGenerations } from '../../src/cluster/generations/remoteGenerations.js';
import type { GenerationEvent, GenerationRequest } from '../../src/shared/generation.js';
import type { GenerationStream } from '../../src/shared/generationStream.js';
import type { NodeId, RunnerId } from '../../src/shared/ids.js';
import { TEST_REQUEST } from '../../src/shared/testing.js';
import { CHILD_NODE, startServingChild, stopServingChild } from './servingChild.js';
import { SocketLinks } from './socketLinks.js';
import { produceTokens } from './tokenProducer.js';

const HERE = 'here' as NodeId;
const THERE = 'there' as NodeId;
const RUNNER = 'runner' as RunnerId;
const FAULT = { code: 'cancelled', message: 'by the test' } as const;
const STREAMS = 1_000;
const BOUND = { timeout: 60_000 };

async function readAll(stream: GenerationStream): Promise<GenerationEvent[]> {
  const events: GenerationEvent[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

function resources(): string[] {
  return process.getActiveResourcesInfo().filter((name) => name === 'Timeout' || name.startsWith('TCP'));
}

test(
  'R1, R52: 1,000 streams at once, finished, aborted and cut at either end, leave nothing',
  BOUND,
  async () => {
    const before = resources();
    const [here, there] = await Promise.all([SocketLinks.listen(HERE), SocketLinks.listen(THERE)]);
    here.know(THERE, there.port);
    const served: GenerationStream[] = [];
    const server = new GenerationServer({
      links: there,
      generate: (_, request) => {
        const stream = produceTokens(request, 50);
        served.push(stream);
        return stream;
      },
    });
    const remote = new RemoteGenerations({ links: here });
    const finite: GenerationRequest = { ...TEST_REQUEST, maxTokens: 10 };
    const endless: GenerationRequest = { ...TEST_REQUEST, maxTokens: null };
    const opened = Array.from({ length: STREAMS }, (_, index) => {
      const isBounded = index % 2 === 0;
      return { isBounded, events: remote.open(THERE, RUNNER, isBounded ? finite : endless) };
    });
    assert.equal(remote.openCount, STREAMS);
    const answers = Promise.all(opened.map(async ({ events }) => readAll(events)));
    await until('all run', () => served.length === STREAMS);
    const unfinished = opened.filter(({ isBounded }) => !isBounded);
    for (const { events } of unfinished.splice(0, STREAMS / 4)) events.abort(FAULT);
    await until('the others have finished', () => remote.openCount === STREAMS / 4);
    const open = [...here.sockets].filter((socket) => !socket.writableEnded);
    open.forEach((socket, index) => {
      if (index % 2 === 0) socket.resetAndDestroy();
    });
    for (const socket of there.sockets) if (!socket.destroyed) socket.resetAndDestroy();
    const ends = (await answers).map((events) => {
      const terminal = events.filter(({ kind }) => kind === 'finished' || kind === 'failed');
      assert.equal(terminal.length, 1);
      const end = terminal[0]!;
      return end.kind === 'failed' ? end.fault.code : end.kind;
    });
    const count = (code: string) => ends.filter((end) => end === code).length;
    assert.deepEqual(
      [count('finished'), count('cancelled'), count('node_lost')],
      [STREAMS / 2, STREAMS / 4, STREAMS / 4],
    );
    await until('every generation has ended', () => served.every((stream) => stream.isEnded));
    await until('nothing is open', () => remote.openCount === 0 && server.openCount === 0);
    await until('no socket is left', () => here.sockets.size === 0 && there.sockets.size === 0);
    await Promise.all([here.close(), there.close()]);
    await until('no timer and no handle is left', () => resources().length <= before.length);
  },
);

async function withChild(context: TestContext, tokenMs: number) {
  const here = await SocketLinks.listen(HERE);
  const child = await startServingChild(here, tokenMs);
  context.after(async () => {
    await stopServingChild(child);
    await here.close();
  });
  const remote = new RemoteGenerations({ links: here });
  const open = (maxTokens: number | null) => remote.open(CHILD_NODE, RUNNER, { ...TEST_REQUEST, maxTokens });
  return { here, child, remote, open };
}

/** Reads in the background; resolves once so many events have come. */
async function reading(stream: GenerationStream, atLeast: number) {
  const events: GenerationEvent[] = [];
  const ended = (async () => {
    for await (const event of stream) events.push(event);
  })();
  await until('tokens come', () => events.length >= atLeast || stream.isEnded);
  return { events, ended };
}

test(
  'R1: a serving process that is killed in mid-stream ends every stream as node_lost',
  BOUND,
  async (context) => {
    const { child, remote, open, here } = await withChild(context, 2);
    const streams = Array.from({ length: 50 }, () => open(null));
    const read = await Promise.all(streams.map((stream) => reading(stream, 5)));
    child.kill('SIGKILL');
    await Promise.all(read.map(({ ended }) => ended));
    for (const { events } of read) {
      const end = events.at(-1);
      assert.equal(end?.kind === 'failed' && end.fault.code, 'node_lost');
      assert.equal(events[0]?.kind, 'started');
    }
    assert.equal(remote.openCount, 0);
    await until('no socket is left', () => here.sockets.size === 0);
    const late = open(1);
    const end = await late.ended;
    assert.equal(end.kind === 'failed' && end.fault.code, 'node_lost');
  },
);

test(
  'R56: a frozen process keeps nobody: abort and the death of its node end streams at once',
  BOUND,
  async (context) => {
    const { child, remote, open, here } = await withChild(context, 2);
    const [aborted, lost] = [open(null), open(null)];
    const read = await Promise.all([aborted, lost].map((stream) => reading(stream, 5)));
    child.kill('SIGSTOP');
    const opening = open(1);
    aborted.abort(FAULT);
    const end = await aborted.ended;
    assert.equal(end.kind === 'failed' && end.fault.code, 'cancelled');
    remote.closeAllTo(CHILD_NODE, { code: 'node_lost', message: 'declared dead' });
    await Promise.all(read.map(({ ended }) => ended));
    assert.deepEqual(await opening.ended, await lost.ended);
    assert.equal(remote.openCount, 0);
    await until('the sockets are cut, the aborted one within its bound', () => here.sockets.size === 0);
  },
);
