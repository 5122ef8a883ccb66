import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { InstanceId, NodeId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { apply } from '../apply.js';
import type { ControlEvent } from '../events.js';
import { runnersOf } from '../instances.js';
import type { RunnerStatus } from '../runnerLife.js';
import { instanceRecord } from '../testing.js';
import { kinds, Scene } from './testing.js';

/** A wish that one node serves, and another could. */
function served(): Scene {
  const scene = new Scene('a', 'b');
  scene.wish('m');
  scene.look();
  scene.serve('m');
  return scene;
}

/** A wish on two nodes whose runners have all reported. */
function twoNodes(...statuses: readonly RunnerStatus[]): Scene {
  const scene = new Scene('a', 'b');
  scene.wish('m', { minNodes: 2 });
  scene.look();
  for (const [rank, status] of statuses.entries()) scene.report(scene.instance('m'), status, rank);
  return scene;
}

test('R26: a failure is retried where it is, with new runners, each time later; then elsewhere', () => {
  const scene = served();
  const [place] = scene.places('m');
  const { instanceId } = scene.instance('m');
  const delays: number[] = [];
  for (let attempt = 2; attempt <= LIMITS.instanceRetries + 1; attempt += 1) {
    const failed = scene.instance('m').shards[0]!.runnerId;
    scene.report(scene.instance('m'), 'failed');
    assert.deepEqual(kinds(scene.look()), ['InstanceFailed']);
    assert.equal(scene.status('m'), 'retrying');
    assert.equal(scene.of('m').consecutiveFailures, attempt - 1);
    const dueAt = scene.of('m').nextAttempt!.at;
    delays.push(dueAt - scene.now);
    scene.now = dueAt - 1;
    assert.deepEqual(scene.look(), []);
    assert.deepEqual(scene.lookAfter(1), [{ kind: 'InstanceRetrying', instanceId, attempt }]);
    const [runner] = runnersOf(scene.state, scene.instance('m'));
    assert.ok(runner !== undefined && runner.runnerId !== failed);
    assert.deepEqual([runner.status, runner.restarts], ['spawned', attempt - 1]);
    assert.equal(runner.error?.message, 'Terminated (signal=9 SIGKILL)');
  }
  for (const [at, delayMs] of delays.entries()) {
    const fullMs = TIMES.attemptBaseMs * 2 ** at;
    assert.ok(delayMs <= fullMs && delayMs >= 0.75 * fullMs, `${delayMs} of ${fullMs} ms`);
  }
  scene.report(scene.instance('m'), 'failed');
  const events = scene.look();
  assert.deepEqual(kinds(events), ['InstanceFailed', 'InstanceDeleted', 'InstanceCreated']);
  assert.deepEqual(scene.of('m').avoidedNodes, [place]);
  assert.notDeepEqual(scene.places('m'), [place]);
  assert.equal(scene.of('m').errors.length, LIMITS.instanceRetries + 1);
  scene.serve('m');
  assert.equal(scene.status('m'), 'ready');
});

test('R28: where only the place that failed would do, it has failed, with all that happened, until the user acts', () => {
  const scene = new Scene('a');
  scene.join('b', { models: [] });
  scene.wish('m');
  scene.look();
  scene.failForGood('m');
  assert.equal(scene.status('m'), 'failed');
  assert.equal(scene.of('m').errors.length, LIMITS.instanceRetries + 1);
  for (const { nodeId, message } of scene.of('m').errors) {
    assert.equal(nodeId, 'a');
    assert.equal(message, 'a: Terminated (signal=9 SIGKILL)');
  }
  scene.join('c');
  assert.deepEqual(scene.lookAfter(1_000_000), []);
  scene.apply({ kind: 'MetaInstanceRetried', metaInstanceId: scene.of('m').metaInstanceId });
  assert.equal(scene.status('m'), 'placing');
  assert.deepEqual(kinds(scene.look()), ['InstanceCreated']);
  assert.deepEqual(scene.of('m').errors, []);
  scene.serve('m');
  assert.equal(scene.status('m'), 'ready');
});

test('R27: a healthy period in between refills the tries, however often it has failed in its life', () => {
  const scene = served();
  const { instanceId } = scene.instance('m');
  for (let time = 0; time < 3 * LIMITS.instanceRetries; time += 1) {
    scene.failOnce('m');
    scene.serve('m');
    assert.equal(scene.of('m').consecutiveFailures, 1);
    assert.deepEqual(kinds(scene.lookAfter(TIMES.healthyMs)), ['MetaInstanceRecovered']);
    assert.equal(scene.of('m').consecutiveFailures, 0);
    assert.deepEqual(scene.of('m').errors, []);
  }
  assert.equal(scene.instance('m').instanceId, instanceId);
  scene.report(scene.instance('m'), 'failed');
  scene.look();
  assert.ok(scene.of('m').nextAttempt!.at - scene.now <= TIMES.attemptBaseMs);
});

test('R27: less than a healthy period refills nothing, nor does one that was interrupted', () => {
  const scene = served();
  scene.failOnce('m');
  scene.serve('m');
  assert.deepEqual(scene.lookAfter(TIMES.healthyMs - 1), []);
  scene.failOnce('m');
  scene.serve('m');
  assert.deepEqual(scene.lookAfter(TIMES.healthyMs - 1), []);
  assert.equal(scene.of('m').consecutiveFailures, 2);
});

test('R27: the fault of one costs the others nothing', () => {
  const scene = new Scene('a', 'b', 'c');
  scene.wish('m');
  scene.wish('w');
  scene.look();
  scene.serve('w');
  const before = scene.of('w');
  scene.failForGood('m');
  assert.deepEqual(scene.of('w').consecutiveFailures, 0);
  assert.deepEqual({ ...before }, { ...scene.of('w') });
});

test('R25: nothing is judged before all others have ended; the message names node and cause', () => {
  for (const status of ['spawned', 'connecting', 'loading', 'warming_up', 'ready', 'stopping'] as const) {
    const scene = twoNodes('failed', status);
    assert.deepEqual(scene.look(), [], status);
    scene.report(scene.instance('m'), 'stopped', 1);
    const [event] = scene.look();
    assert.ok(event?.kind === 'InstanceFailed');
    assert.equal(event.failure.nodeId, scene.places('m')[0]);
    assert.match(event.failure.message, /^[ab]: Terminated \(signal=9 SIGKILL\)$/);
  }
});

test('R25: no runner is taken for failed because it has not reported, or was asked to stop', () => {
  for (const statuses of [[], ['ready'], ['stopped', 'stopped'], ['stopping', 'ready']] as const) {
    const scene = twoNodes(...statuses);
    assert.deepEqual(
      kinds(scene.lookAfter(1_000_000)).filter((kind) => kind === 'InstanceFailed'),
      [],
    );
  }
});

test('R32: a runner that waits for its failed sibling, and so was never started, does not hold up the next attempt', () => {
  const scene = twoNodes('failed');
  assert.deepEqual(kinds(scene.look()), ['InstanceFailed']);
  scene.now = scene.of('m').nextAttempt!.at;
  assert.deepEqual(kinds(scene.look()), ['InstanceRetrying']);
});

test('R25: a sibling on a node that is gone does not hold up the judgement, and the retry waits for its node', () => {
  const scene = twoNodes('failed', 'ready');
  scene.judge(scene.places('m')[1]!, 'dead');
  assert.ok(kinds(scene.look()).includes('InstanceFailed'));
  assert.deepEqual(kinds(scene.lookAfter(TIMES.nodeLossGraceMs - 1)), []);
  scene.judge(scene.places('m')[1]!, 'alive');
  assert.deepEqual(kinds(scene.look()), ['InstanceRetrying']);
});

test('R26: what a runner of an earlier attempt says late changes nothing', () => {
  const scene = served();
  const [old] = runnersOf(scene.state, scene.instance('m'));
  scene.failOnce('m');
  for (const status of ['failed', 'ready', 'stopped', 'loading'] as const) {
    const before = scene.state;
    scene.apply(scene.reportOf(old!, status));
    assert.deepEqual(scene.state, { ...before, index: before.index + 1 });
    assert.deepEqual(scene.look(), []);
  }
  assert.equal(scene.of('m').consecutiveFailures, 1);
});

test('R26: one failure is counted once, in whatever order and however often it is told', () => {
  const scene = served();
  const { instanceId } = scene.instance('m');
  const nodeId = 'a' as NodeId;
  const attempts = [1, 2, 3, 4];
  const told: ControlEvent[] = [
    ...attempts.map(
      (attempt): ControlEvent => ({
        kind: 'InstanceFailed',
        instanceId,
        attempt,
        failure: { at: attempt, nodeId, message: `attempt ${attempt}` },
        nextAttemptAt: 10,
      }),
    ),
    ...attempts.map(
      (attempt): ControlEvent => ({ kind: 'InstanceRetrying', instanceId, attempt: attempt + 1 }),
    ),
    { kind: 'InstanceDeleted', instanceId, avoid: nodeId },
  ];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...told), { maxLength: 40 }), (events) => {
      let { state } = scene;
      const counted = new Set<number>();
      for (const event of events) {
        const known = state.instances.get(instanceId);
        const isNews =
          event.kind === 'InstanceFailed' && known?.attempt === event.attempt && known.failure === null;
        if (isNews) counted.add(event.attempt);
        state = apply(state, event);
        const { consecutiveFailures, errors } = state.metaInstances.get(scene.of('m').metaInstanceId)!;
        assert.equal(consecutiveFailures, counted.size);
        assert.deepEqual(
          errors.map(({ at }) => at),
          [...counted],
        );
        if (!state.instances.has(instanceId)) assert.ok(state.deletedInstances.includes(instanceId));
      }
    }),
  );
});

test('R26: a retry of what was deleted is none, and neither is a failure', () => {
  const scene = served();
  const { instanceId } = scene.instance('m');
  scene.apply({ kind: 'InstanceDeleted', instanceId });
  const before = scene.state;
  scene.apply(
    { kind: 'InstanceRetrying', instanceId, attempt: 2 },
    {
      kind: 'InstanceFailed',
      instanceId,
      attempt: 1,
      failure: { at: 1, nodeId: null, message: 'late' },
      nextAttemptAt: 2,
    },
  );
  assert.deepEqual(scene.state, { ...before, index: before.index + 2 });
});

test('R48: an instance that nobody declared is left to the policy of its own', () => {
  const scene = new Scene('a', 'b');
  scene.apply({ kind: 'InstanceCreated', instance: instanceRecord('x', ['a' as NodeId]) });
  scene.report(scene.state.instances.get('x' as InstanceId)!, 'failed');
  assert.deepEqual(scene.lookAfter(1_000_000), []);
});

test('R8: a runner that fails and a node that is lost, in any order, are one failure; nothing of the instance stays behind', () => {
  const happenings = fc.shuffledSubarray(['runner', 'node', 'look', 'look'], { minLength: 4, maxLength: 4 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 }), happenings, fc.boolean(), (shards, order, isBack) => {
      const scene = new Scene('a', 'b', 'c');
      scene.wish('m', { minNodes: shards });
      scene.look();
      scene.serve('m');
      const first = scene.instance('m');
      const { nodeId } = first.shards[0] as { nodeId: string };
      const events: ControlEvent[] = [];
      for (const what of order) {
        if (what === 'node') scene.judge(nodeId, 'dead');
        else if (what === 'runner') scene.report(first, 'failed');
        else events.push(...scene.look());
      }
      if (isBack) scene.judge(nodeId, 'alive');
      for (let look = 0; look < 20; look += 1) events.push(...scene.lookAfter(1_000));
      const ofFirst = events.filter(
        (event) => 'instanceId' in event && event.instanceId === first.instanceId,
      );
      const count = (kind: ControlEvent['kind']) => ofFirst.filter((event) => event.kind === kind).length;
      assert.ok(count('InstanceFailed') <= 1, 'counted once');
      assert.ok(scene.of('m').consecutiveFailures <= 1);
      assert.ok(count('InstanceRetrying') + count('InstanceDeleted') <= 1, 'retried or deleted');
      const [present] = scene.present('m');
      assert.equal(present?.failure, null, 'there is one that has not failed');
      assert.equal(scene.present('m').length, 1);
    }),
  );
});
