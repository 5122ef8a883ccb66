/** What becomes of a request that comes while nothing serves its model: whole cores and workers on virtual time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS, TIMES } from '../../src/shared/limits.js';
import type { Machine } from './machine.js';
import { type Asked, Story } from './story.js';

const served = (story: Story, asked: Asked) => {
  story.until('answered', () => !asked.isOpen());
  // What the engine cannot compute is drawn by lot, and had its place.
  assert.ok([undefined, 'engine_error'].includes(asked.fault()?.code), asked.fault()?.message);
};

const ended = (story: Story, asked: Asked, code: string, message: RegExp) => {
  story.until('ended', () => !asked.isOpen());
  assert.equal(asked.fault()?.code, code);
  assert.match(asked.fault()?.message ?? '', message);
};

/** A node with a client, which has the wish neither to run nor to rule. */
function processBeside(story: Story, { id }: Machine) {
  const found = story.world.processes.find(
    ({ machine, core }) => machine.id !== id && core.role !== 'master',
  );
  return found ?? assert.fail('no node beside');
}

for (const phase of ['connecting', 'loading', 'warming_up', 'ready'] as const) {
  test(`R26, R60: a request that comes while a wish is started anew, after a failure while ${phase}, waits and is served`, () => {
    const story = new Story(3, 300);
    story.declare('w');
    story.failIn('w', phase);
    assert.equal(story.status('w'), 'retrying');
    const asked = story.world.processes.map((process, at) => story.ask(process, `t${at}`));
    story.pass(500);
    assert.ok(asked.every((one) => one.isOpen() && !one.isPlaced()));
    const waiting = () => story.world.processes.map(({ core }) => core.placelessTasks);
    assert.deepEqual(new Set(waiting()), new Set([1]));
    for (const one of asked) served(story, one);
    assert.deepEqual(new Set(waiting()), new Set([0]));
    story.settle();
  });
}

test('R22, R60: a request that comes while a wish is placed elsewhere waits for that', () => {
  const story = new Story(3, 310);
  story.declare('w');
  const { process } = story.untilPhase('w', 'ready');
  const beside = processBeside(story, process.machine);
  process.machine.crash();
  story.until('seen', () => beside.core.state.nodes.get(process.machine.id)?.status === 'dead');
  const asked = story.ask(beside, 't');
  served(story, asked);
  process.machine.start();
  story.settle();
});

test('R22: it waits through the loss of the master too', () => {
  const story = new Story(3, 320);
  story.declare('w');
  story.failIn('w', 'ready');
  const { machine } = story.master;
  const asked = story.ask(processBeside(story, machine), 't');
  story.pass(100);
  machine.crash();
  served(story, asked);
  machine.start();
  story.settle();
});

test('R4: it ends at once when the wish fails for good or is taken back', () => {
  const story = new Story(1, 330);
  const [process] = story.world.processes;
  assert.ok(process !== undefined);
  story.declare('w');
  for (let failure = 1; failure <= LIMITS.instanceRetries; failure += 1) story.failIn('w', 'loading');
  const last = story.ask(process, 'last');
  story.pass(200);
  assert.ok(last.isOpen(), 'there is one attempt left');
  story.failIn('w', 'loading');
  ended(story, last, 'runner_failed', /the runner has failed|it dies while loading/);
  const late = story.ask(process, 'late');
  story.pass(50);
  assert.equal(late.fault()?.code, 'all_instances_failed', 'nothing is to be waited for');

  story.retry('w');
  story.failIn('w', 'loading');
  const forsaken = story.ask(process, 'forsaken');
  story.pass(200);
  assert.ok(forsaken.isOpen());
  story.takeBack('w');
  ended(story, forsaken, 'no_instance', /no instance of m1 is running/);
  story.settle();
});

test('R4, R34: what waits for room is not waited for', () => {
  const story = new Story(2, 340);
  const [process] = story.world.processes;
  assert.ok(process !== undefined);
  story.machine(1).crash();
  story.until('dead', () => story.master.core.state.nodes.get(story.machine(1).id)?.status === 'dead');
  story.declare('w', 'huge');
  story.untilStatus('w', 'pending');
  const asked = story.ask(story.master, 't', 'huge');
  story.pass(50);
  assert.equal(asked.fault()?.code, 'no_instance');
  assert.match(asked.fault()?.message ?? '', /waits for a place/);
});

test('R10, R11: deadline and cancel hold while it waits, and say what it waited for', () => {
  const story = new Story(1, 350);
  const [process] = story.world.processes;
  assert.ok(process !== undefined);
  story.declare('w');
  story.failIn('w', 'ready');
  const short = story.ask(process, 'short', 'small', { deadlineMs: 600 });
  const left = story.ask(process, 'left');
  story.pass(100);
  process.api.cancelled('left' as never);
  assert.equal(left.fault()?.code, 'cancelled');
  ended(story, short, 'deadline_exceeded', /within 600 ms; it waited for a place, since: m1 is not served/);
  story.untilStatus('w', 'ready');
  story.settle();
});

test('R10: where nothing changes it waits as long as it may, and is told why', () => {
  const story = new Story(3, 360);
  story.declare('w');
  const { process } = story.untilPhase('w', 'ready');
  const beside = processBeside(story, process.machine);
  const { network, time } = story.world;
  network.cut(process.machine, beside.machine, false);
  network.cut(beside.machine, process.machine, false);
  // Longer than probes need to find out.
  story.pass(10_000);
  const asked = story.ask(beside, 't', 'small', { deadlineMs: 10 * TIMES.placeWaitMs });
  const since = time.now;
  story.until('ended', () => !asked.isOpen());
  assert.equal(asked.fault()?.code, 'node_lost', asked.fault()?.message);
  const waitedMs = time.now - since;
  assert.ok(waitedMs >= TIMES.placeWaitMs && waitedMs <= TIMES.placeWaitMs + 2 * TIMES.tickMs, `${waitedMs}`);
  network.healAll(story.world.machines);
  story.settle();
});

test('R16: as many wait as one instance would take, and one more is told that the queue is full', () => {
  const story = new Story(1, 370);
  const [process] = story.world.processes;
  assert.ok(process !== undefined);
  story.declare('w');
  story.failIn('w', 'ready');
  const asked = Array.from({ length: LIMITS.instanceQueueRequests + 1 }, (_, at) =>
    story.ask(process, `t${at}`),
  );
  assert.deepEqual(
    asked.flatMap((one) => one.fault()?.code ?? []),
    ['queue_full'],
  );
  assert.match(asked.at(-1)?.fault()?.message ?? '', /256 requests wait already; m1 is not served/);
  for (const one of asked.slice(0, -1)) served(story, one);
  story.settle();
});
