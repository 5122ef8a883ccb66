/** The request plane over the links that nodes really have. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Calls } from '../../src/cluster/calls/calls.js';
import { CancelCalls } from '../../src/cluster/calls/cancelCalls.js';
import { until } from '../../src/cluster/calls/testing/until.js';
import { GenerationServer } from '../../src/cluster/generations/generationServer.js';
import { RemoteGenerations } from '../../src/cluster/generations/remoteGenerations.js';
import { ShoalError } from '../../src/shared/errors.js';
import type { GenerationEvent } from '../../src/shared/generation.js';
import type { GenerationStream } from '../../src/shared/generationStream.js';
import type { CommandId, NodeId, RunnerId } from '../../src/shared/ids.js';
import { TEST_REQUEST } from '../../src/shared/testing.js';
import { linkedPair } from './tlsLinks.js';
import { produceTokens } from './tokenProducer.js';

const RUNNER = 'runner' as RunnerId;
const FAULT = { code: 'cancelled', message: 'by the test', details: { why: 'test' } } as const;
const BOUND = { timeout: 60_000 };

async function setUp(context: TestContext) {
  const { here, there } = await linkedPair(context);
  const served: GenerationStream[] = [];
  const server = new GenerationServer({
    links: there.links,
    generate: (_, request) => {
      const stream = produceTokens(request, 20);
      served.push(stream);
      return stream;
    },
  });
  const remote = new RemoteGenerations({ links: here.links });
  const open = (maxTokens: number | null) =>
    remote.open(there.nodeId, RUNNER, { ...TEST_REQUEST, maxTokens });
  const nothingIsLeft = () =>
    until('nothing is open', () => remote.openCount === 0 && server.openCount === 0 && served.every(isEnded));
  return { here, there, remote, server, served, open, nothingIsLeft };
}

const isEnded = (stream: GenerationStream) => stream.isEnded;

async function readAll(stream: GenerationStream): Promise<GenerationEvent[]> {
  const events: GenerationEvent[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

test(
  'R1, R11: answers come whole, aborts arrive with their cause, and a lost link is node_lost',
  BOUND,
  async (context) => {
    const { there, served, open, nothingIsLeft } = await setUp(context);
    const whole = await Promise.all(Array.from({ length: 200 }, () => readAll(open(5))));
    for (const events of whole) {
      assert.deepEqual(
        events.map(({ kind }) => kind),
        ['started', 'delta', 'delta', 'delta', 'delta', 'delta', 'choice_finished', 'finished'],
      );
    }
    await nothingIsLeft();
    const aborted = open(null);
    await until('it runs', () => served.length === 201);
    aborted.abort(FAULT);
    assert.deepEqual(await served[200]?.ended, { kind: 'failed', fault: FAULT });
    await nothingIsLeft();
    const lost = open(null);
    await until('it runs', () => served.length === 202);
    await there.links.close();
    const end = await lost.ended;
    assert.equal(end.kind === 'failed' && end.fault.code, 'node_lost');
    assert.match(end.kind === 'failed' ? end.fault.message : '', new RegExp(there.nodeId));
    await nothingIsLeft();
  },
);

test(
  'a node without that kind of stream, and one without a link, are coded errors',
  BOUND,
  async (context) => {
    const { here, there } = await linkedPair(context);
    const remote = new RemoteGenerations({ links: here.links });
    const ask = async (nodeId: NodeId) => {
      const end = await remote.open(nodeId, RUNNER, TEST_REQUEST).ended;
      return end.kind === 'failed' && end.fault.code;
    };
    assert.equal(await ask(there.nodeId), 'not_found');
    assert.equal(await ask('nobody' as NodeId), 'node_lost');
  },
);

test(
  'R56: a node that is declared dead loses its streams in both directions while its link is open',
  BOUND,
  async (context) => {
    const { here, there, remote, server, served, open, nothingIsLeft } = await setUp(context);
    const streams = [open(null), open(null)];
    await until('both run', () => served.length === 2);
    remote.closeAllTo(there.nodeId, { code: 'node_lost', message: 'dead' });
    for (const stream of streams) assert.equal(stream.isEnded, true);
    await nothingIsLeft();
    const last = open(null);
    await until('it runs', () => served.length === 3);
    server.closeAllFrom(here.nodeId, { code: 'node_lost', message: 'dead' });
    assert.equal(served[2]?.isEnded, true);
    const end = await last.ended;
    assert.equal(end.kind === 'failed' && end.fault.code, 'node_lost');
    await nothingIsLeft();
  },
);

test('R11: calls and cancels cross, with their faults', BOUND, async (context) => {
  const { here, there } = await linkedPair(context);
  const onBug = (_: string, error: unknown) => assert.ifError(error);
  const [asking, serving] = [
    new Calls({ links: here.links, onBug }),
    new Calls({ links: there.links, onBug }),
  ];
  serving.serve('refuse', () => {
    throw new ShoalError('placement_impossible', 'no', { details: { nodes: [] } });
  });
  await assert.rejects(asking.call(there.nodeId, 'refuse', {}), {
    code: 'placement_impossible',
    details: { nodes: [] },
  });
  await assert.rejects(asking.call(there.nodeId, 'unknown', {}), { code: 'peer_protocol_error' });
  const cancels = new CancelCalls({ calls: asking, links: here.links, cancelHere: () => false });
  new CancelCalls({ calls: serving, links: there.links, cancelHere: (commandId) => commandId === 'theirs' });
  assert.equal(await cancels.cancel('theirs' as CommandId), true);
  assert.equal(await cancels.cancel('nobodys' as CommandId), false);
  await until('no call is open', () => asking.openCount === 0 && serving.openCount === 0);
});
