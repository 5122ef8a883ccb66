import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { tasksIn } from '../control/instances.js';
import type { InstanceRecord } from '../control/state.js';
import { instanceRecord } from '../control/testing.js';
import { type Fault, ShoalError } from '../shared/errors.js';
import type { GenerationEvent, GenerationRequest } from '../shared/generation.js';
import { GenerationStream, type TerminalEvent } from '../shared/generationStream.js';
import type { CommandId, InstanceId, ModelId, RunnerId, TaskId } from '../shared/ids.js';
import { TEST_REQUEST as request, TEST_STATS as STATS } from '../shared/testing.js';
import { MemoryNetwork } from './link/testing/memoryLinks.js';
import type { Move } from './openRequest.js';
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
  const asked: GenerationRequest[] = [];
  const places: RunnerId[] = [];
  const requests = new Requests({
    cluster: node.cluster,
    openStream: (_nodeId, runnerId, request) => {
      asked.push(request);
      places.push(runnerId);
      const stream = new GenerationStream();
      streams.push(stream);
      return stream;
    },
    onEnded: (_, end) => ends.push(end),
  });
  return { requests, streams, ends, asked, places };
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

const GONE: Fault = { code: 'runner_failed', message: 'gone' };
const TOKEN = (token: number) => ({ kind: 'delta', choice: 0, text: `${token} `, tokens: [token] }) as const;
const STARTED = { kind: 'started', promptTokens: 3, cachedPromptTokens: 0 } as const;

const TOO_LONG: Fault = { code: 'context_length_exceeded', message: 'too long' };

/** An instance to go on at; gone when the test is over. */
async function addInstance(
  t: { after(end: () => Promise<unknown>): void },
  id: string,
  more: Partial<InstanceRecord> = {},
): Promise<void> {
  await node.cluster.command({ kind: 'CreateInstance', instance: { ...instance, ...named(id), ...more } });
  t.after(() => node.cluster.command({ kind: 'DeleteInstance', instanceId: id as InstanceId }));
}

function named(id: string): Pick<InstanceRecord, 'instanceId' | 'shards'> {
  const shards = instance.shards.map((shard) => ({ ...shard, runnerId: `${id}-0` as RunnerId }));
  return { instanceId: id as InstanceId, shards };
}

async function until(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!isSo()) {
    assert.ok(performance.now() < deadline, 'it did not come to that');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('R60: an answer goes on at another instance with what its client has, as one task at a time', async (t) => {
  await addInstance(t, 'b');
  const { requests, streams, asked, ends } = setUp();
  const moves: Move[] = [];
  const request = { ...newRequest(), failpoint: { name: 'runner.die', arg: null } } as const;
  const { events, instanceId } = await requests.generate(request, forever(), {
    onMoved: (move) => moves.push(move),
  });
  const told: GenerationEvent[] = [];
  const reading = (async () => {
    for await (const event of events) told.push(event);
  })();
  streams[0]?.push(STARTED);
  streams[0]?.push(TOKEN(7));
  streams[0]?.fail(GONE);
  await until(() => streams.length === 2);
  assert.equal(running(), 1);
  assert.equal(lastStatus(), 'failed', 'the first place has ended');
  assert.deepEqual(
    moves.map(({ from, to, reason }) => [from, to, reason]),
    [[instanceId, 'b', GONE]],
  );
  assert.deepEqual(asked[1]?.resume, [{ tokens: [7], reason: null }]);
  assert.equal(asked[1]?.failpoint, undefined, 'a fault is caused once');
  assert.equal(asked[1]?.arrivedAt, asked[0]?.arrivedAt);
  assert.ok((asked[1]?.deadlineMs ?? 0) < request.deadlineMs, 'the time that has passed is gone');
  streams[1]?.push(STARTED);
  streams[1]?.push(TOKEN(8));
  streams[1]?.push({ kind: 'choice_finished', choice: 0, reason: 'stop' });
  streams[1]?.push({ kind: 'finished', stats: STATS });
  await reading;
  assert.deepEqual(
    told.map((event) => (event.kind === 'delta' ? event.tokens[0] : event.kind)),
    ['started', 7, 8, 'choice_finished', 'finished'],
  );
  const last = told.at(-1);
  assert.equal(last?.kind === 'finished' && last.stats.moves, 1);
  await settle();
  assert.equal(running(), 0);
  assert.equal(lastStatus(), 'complete');
  assert.equal(ends.length, 1);
});

test('R6: what is wrong with the request itself ends it where it is', async (t) => {
  await addInstance(t, 'c');
  const { requests, streams } = setUp();
  for (const code of ['context_length_exceeded', 'engine_error', 'client_too_slow', 'cancelled'] as const) {
    const before = streams.length;
    const { events } = await requests.generate(newRequest(), forever());
    streams.at(-1)?.fail({ code, message: 'x' });
    const end = await events.ended;
    assert.equal(end.kind === 'failed' && end.fault.code, code);
    assert.equal(streams.length, before + 1);
  }
  assert.equal(running(), 0);
});

test('R60: an answer that does not fit where it was moved to goes on where there is more context', async (t) => {
  await addInstance(t, 'wide', { contextLength: 2 * instance.contextLength });
  const { requests, streams, places } = setUp();
  const { events } = await requests.generate(newRequest(), forever());
  // The first of them serves it, the one without room comes next, and then there is one with room again.
  streams[0]?.push(STARTED);
  streams[0]?.push(TOKEN(7));
  streams[0]?.fail(GONE);
  await until(() => streams.length === 2);
  assert.deepEqual(places, ['a-0', 'wide-0']);
  await addInstance(t, 'wider', { contextLength: 3 * instance.contextLength });
  streams[1]?.fail(TOO_LONG);
  await until(() => streams.length === 3);
  assert.deepEqual(places, ['a-0', 'wide-0', 'wider-0']);
  streams[2]?.fail(TOO_LONG);
  const end = await events.ended;
  assert.deepEqual(end.kind === 'failed' && end.fault, TOO_LONG, 'nowhere is more');
  assert.equal(running(), 0);
});

test('R12: a request that is too long for the first place is taken by one with more context, and refused where none is', async (t) => {
  await addInstance(t, 'large', { contextLength: 2 * instance.contextLength });
  const { requests, streams, places } = setUp();
  const { events } = await requests.generate(newRequest(), forever());
  streams[0]?.fail(TOO_LONG);
  await until(() => streams.length === 2);
  assert.deepEqual(places, ['a-0', 'large-0']);
  streams[1]?.fail(TOO_LONG);
  const end = await events.ended;
  assert.deepEqual(end.kind === 'failed' && end.fault, TOO_LONG);
});

test('R10, R11: cancel and deadline hold while an answer waits for a place, and name what it waits after', async () => {
  const { requests, streams } = setUp();
  // Nobody else has the model, and the one that had it is gone for as long as this request avoids it.
  const asked = newRequest();
  const { events } = await requests.generate(asked, forever());
  streams[0]?.fail(GONE);
  await settle();
  assert.equal(running(), 0, 'it has no place');
  assert.equal(requests.cancel(asked.commandId), true);
  const end = await events.ended;
  assert.equal(end.kind === 'failed' && end.fault.code, 'cancelled');
  const late = await requests.generate(newRequest(100), forever());
  streams[1]?.fail(GONE);
  const lateEnd = await late.events.ended;
  assert.ok(lateEnd.kind === 'failed' && lateEnd.fault.code === 'deadline_exceeded');
  assert.match(lateEnd.fault.message, /waited for another place after: gone/);
  await settle();
  assert.equal(streams.length, 2);
});

test('R6: an answer that can go on nowhere ends with what it was lost by, and why nothing comes', async (t) => {
  const modelId = 'lonely' as ModelId;
  await addInstance(t, 'only', { modelId });
  const { requests, streams } = setUp();
  const { events } = await requests.generate({ ...newRequest(), modelId }, forever());
  streams[0]?.push(STARTED);
  await node.cluster.command({ kind: 'DeleteInstance', instanceId: 'only' as InstanceId });
  streams[0]?.fail(GONE);
  const end = await events.ended;
  assert.ok(end.kind === 'failed');
  assert.equal(end.fault.code, GONE.code);
  assert.match(
    end.fault.message,
    new RegExp(`^${GONE.message}; it goes on nowhere, since no instance of lonely is running`),
  );
});

test('R60: a late end of a stream that was left says nothing of the place that the answer has now', async (t) => {
  await addInstance(t, 'd');
  const { requests, streams } = setUp();
  const { events } = await requests.generate(newRequest(), forever());
  streams[0]?.fail(GONE);
  await until(() => streams.length === 2);
  streams[0]?.fail({ code: 'engine_error', message: 'late' });
  node.cluster.taskStreamBroken('nobody' as TaskId, 'nobody' as TaskId, GONE, true);
  await settle();
  assert.equal(events.isEnded, false);
  events.abort({ code: 'cancelled', message: 'x' });
  const end = await (streams[1] as GenerationStream).ended;
  assert.equal(end.kind === 'failed' && end.fault.code, 'cancelled', 'the runner is told to stop');
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
