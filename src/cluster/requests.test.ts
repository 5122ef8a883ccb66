import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { tasksIn } from '../control/instances.js';
import type { InstanceRecord } from '../control/state.js';
import { instanceRecord } from '../control/testing.js';
import { ShoalError } from '../shared/errors.js';
import { GenerationStream, type TerminalEvent } from '../shared/generationStream.js';
import type { CommandId, InstanceId } from '../shared/ids.js';
import { TEST_REQUEST as request } from '../shared/testing.js';
import { MemoryNetwork } from './link/testing/memoryLinks.js';
import { Requests } from './requests.js';
import { startTestNode } from './testing.js';

const node = await startTestNode(new MemoryNetwork());
after(() => node.kill());
await node.cluster.untilUpToDate(AbortSignal.timeout(10_000));

const instance: InstanceRecord = {
  ...instanceRecord('a'),
  shards: instanceRecord('a').shards.map((shard) => ({ ...shard, nodeId: node.nodeId })),
};
await node.cluster.command({ kind: 'CreateInstance', instance });

/** Requests to the one instance, whose streams the test produces. */
function setUp() {
  const streams: GenerationStream[] = [];
  const ends: TerminalEvent[] = [];
  const requests = new Requests({
    cluster: node.cluster,
    openStream: () => {
      const stream = new GenerationStream();
      streams.push(stream);
      return stream;
    },
    onEnded: (_, end) => ends.push(end),
  });
  return { requests, streams, ends };
}

let count = 0;
/** A request as each client makes its own. */
function newRequest(deadlineMs = request.deadlineMs) {
  count += 1;
  return { ...request, commandId: `command-${count}` as CommandId, deadlineMs };
}

const forever = () => new AbortController().signal;
const settle = () => new Promise((resolve) => setImmediate(resolve));
const running = () => [...tasksIn(node.cluster.state)].length;
const lastStatus = () => node.cluster.state.finishedTasks.at(-1)?.status;

test('R1: a task is in the state from its assignment to the end of its stream', async () => {
  const { requests, streams, ends } = setUp();
  const asked = newRequest();
  const accepted = await requests.generate(asked, forever());
  assert.equal(accepted.nodeId, node.nodeId);
  assert.equal(accepted.instanceId, instance.instanceId);
  assert.equal(running(), 1);
  streams[0]?.fail({ code: 'engine_error', message: 'x' });
  await settle();
  assert.equal(running(), 0);
  assert.equal(lastStatus(), 'failed');
  assert.equal(ends.length, 1);
  assert.equal(requests.cancel(asked.commandId), false);
});

test('R11: cancel by id and by the client end the stream and the task', async () => {
  const { requests } = setUp();
  const asked = newRequest();
  const first = await requests.generate(asked, forever());
  assert.equal(requests.cancel(asked.commandId), true);
  const end = await first.events.ended;
  assert.equal(end.kind === 'failed' && end.fault.code, 'cancelled');
  assert.equal(lastStatus(), 'cancelled');

  const client = new AbortController();
  const second = await requests.generate(newRequest(), client.signal);
  client.abort(new ShoalError('client_too_slow', 'slow'));
  const secondEnd = await second.events.ended;
  assert.equal(secondEnd.kind === 'failed' && secondEnd.fault.code, 'client_too_slow');
  await settle();
  assert.equal(running(), 0);
});

test('R11: a client that left before its request was placed gets no stream', async () => {
  const { requests, streams } = setUp();
  const asked = requests.generate(newRequest(), AbortSignal.abort(new ShoalError('cancelled', 'gone')));
  await assert.rejects(asked.then(({ events }) => events.ended.then((end) => Promise.reject(end))));
  await settle();
  assert.equal(streams.filter((stream) => !stream.isEnded).length, 0);
  assert.equal(running(), 0);
});

test('R10: the deadline ends a request that nobody answers', async () => {
  const { requests } = setUp();
  const { events } = await requests.generate(newRequest(10), forever());
  const end = await events.ended;
  assert.equal(end.kind === 'failed' && end.fault.code, 'deadline_exceeded');
  await settle();
  assert.equal(running(), 0);
});

test('R4: without an instance the error comes at once, and no task stays behind', async () => {
  const { requests, ends } = setUp();
  await node.cluster.command({ kind: 'DeleteInstance', instanceId: 'a' as InstanceId });
  await assert.rejects(requests.generate(newRequest(), forever()), { code: 'no_instance' });
  assert.equal(running(), 0);
  assert.equal(ends.length, 0);
});
