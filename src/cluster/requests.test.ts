import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instanceRecord, NODE, runnerStatusChanged } from '../control/testing.js';
import { ShoalError } from '../shared/errors.js';
import { GenerationStream, type TerminalEvent } from '../shared/generationStream.js';
import { TEST_REQUEST as request } from '../shared/testing.js';
import { ControlPlane } from './controlPlane.js';
import { Requests } from './requests.js';

/** A control plane with one instance, and requests whose streams the test produces. */
function setUp() {
  const controlPlane = new ControlPlane(() => 0);
  controlPlane.publish({ kind: 'InstanceCreated', instance: instanceRecord('a') });
  const streams: GenerationStream[] = [];
  const ends: TerminalEvent[] = [];
  const requests = new Requests({
    controlPlane,
    openStream: () => {
      const stream = new GenerationStream();
      streams.push(stream);
      return stream;
    },
    onEnded: (_, end) => ends.push(end),
  });
  const statuses = () => [...controlPlane.state.tasks.values()].map(({ status }) => status);
  return { controlPlane, requests, streams, ends, statuses };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

test('R1: a task is in the state from its assignment to the end of its stream', async () => {
  const { requests, streams, statuses, ends } = setUp();
  const accepted = await requests.generate(request, new AbortController().signal);
  assert.equal(accepted.nodeId, NODE);
  assert.deepEqual(statuses(), ['running']);
  streams[0]?.fail({ code: 'engine_error', message: 'x' });
  await settle();
  assert.deepEqual(statuses(), ['failed']);
  assert.equal(ends.length, 1);
  assert.equal(requests.cancel(request.commandId), false);
});

test('R11: cancel by id and by the client end the stream and the task', async () => {
  const { requests, statuses } = setUp();
  const first = await requests.generate(request, new AbortController().signal);
  assert.equal(requests.cancel(request.commandId), true);
  const end = await first.events.ended;
  assert.equal(end.kind === 'failed' && end.fault.code, 'cancelled');

  const client = new AbortController();
  const second = await requests.generate(request, client.signal);
  client.abort(new ShoalError('client_too_slow', 'slow'));
  const secondEnd = await second.events.ended;
  assert.equal(secondEnd.kind === 'failed' && secondEnd.fault.code, 'client_too_slow');
  await settle();
  assert.deepEqual(statuses(), ['cancelled', 'failed']);
});

test('R10: the deadline ends a request that nobody answers', async () => {
  const { requests } = setUp();
  const { events } = await requests.generate({ ...request, deadlineMs: 10 }, new AbortController().signal);
  const end = await events.ended;
  assert.equal(end.kind === 'failed' && end.fault.code, 'deadline_exceeded');
});

test('R4: without a healthy instance the error comes at once, and no task stays behind', async () => {
  const { requests, controlPlane, statuses } = setUp();
  controlPlane.publish(runnerStatusChanged('a', 'failed'));
  await assert.rejects(requests.generate(request, new AbortController().signal), {
    code: 'all_instances_failed',
  });
  assert.deepEqual(statuses(), []);
});
