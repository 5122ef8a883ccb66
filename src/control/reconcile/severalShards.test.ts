/** Instances of several shards: one thing, which fails, ends and comes back as a whole. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { InstanceId, NodeId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { runnersOf } from '../instances.js';
import type { Transport } from '../placement/types.js';
import { RESTART_POLICY } from '../restartPolicy.js';
import { chooseInstance } from '../routing.js';
import type { RunnerStatus } from '../runnerLife.js';
import type { InstanceRecord, RunnerFailure } from '../state.js';
import { instanceRecord, MODEL } from '../testing.js';
import { neededLinks } from './attemptFailure.js';
import { kinds, Scene } from './testing.js';

const NODES = ['a', 'b', 'c'] as const;
const ids = (names: readonly string[]) => names as readonly NodeId[];

/** An instance that nobody declared on three nodes, whose runners are ready. */
function plain(transport: Transport = 'Ring'): Scene {
  const scene = new Scene(...NODES);
  scene.apply({ kind: 'InstanceCreated', instance: { ...instanceRecord('x', ids(NODES)), transport } });
  scene.report(plainOf(scene), 'ready');
  return scene;
}

const plainOf = (scene: Scene): InstanceRecord => scene.state.instances.get('x' as InstanceId)!;

/** A wish that is served by two nodes. */
function wished(): Scene {
  const scene = new Scene('a', 'b');
  scene.wish('m', { minNodes: 2 });
  scene.look();
  scene.serve('m');
  return scene;
}

function fail(scene: Scene, rank: number, fault: Partial<RunnerFailure> = {}): void {
  const runner = runnersOf(scene.state, plainOf(scene))[rank]!;
  scene.apply(scene.reportOf(runner, 'failed', fault));
}

const blaming = (rank: number): Partial<RunnerFailure> => ({
  code: 'node_lost',
  message: `rank ${rank} has gone`,
  details: { rank, node: NODES[rank] },
});

function failureOf(scene: Scene) {
  const [event] = scene.look();
  assert.ok(event?.kind === 'InstanceFailed', `${event?.kind}`);
  return event.failure;
}

const isRouted = (scene: Scene): boolean =>
  'instance' in chooseInstance(scene.state, { modelId: MODEL, unreachable: new Set() }, scene.now);

test('R7: whoever fails first or last is told, the one that blames nobody is the culprit, and one failure is counted', () => {
  fc.assert(
    fc.property(
      fc.shuffledSubarray([0, 1, 2], { minLength: 3, maxLength: 3 }),
      fc.nat(2),
      (order, culprit) => {
        const scene = plain();
        for (const rank of order) {
          assert.deepEqual(scene.look(), []);
          fail(
            scene,
            rank,
            rank === culprit ? { message: 'Terminated (signal=9 SIGKILL)' } : blaming(culprit),
          );
          assert.ok(!isRouted(scene), 'half an instance takes no request');
        }
        const failure = failureOf(scene);
        assert.equal(failure.nodeId, NODES[culprit]);
        assert.equal(failure.message, `${NODES[culprit]}: Terminated (signal=9 SIGKILL)`);
        assert.deepEqual(scene.look(), []);
      },
    ),
  );
});

test('R7: where all blame another, the blamed one is the culprit, with the word of a witness', () => {
  const scene = plain();
  for (const rank of [0, 2]) fail(scene, rank, blaming(1));
  scene.report(plainOf(scene), 'stopped', 1);
  const { nodeId, message } = failureOf(scene);
  assert.equal(nodeId, 'b');
  assert.equal(message, 'b: rank 1 is at fault, a lost it: rank 1 has gone');
});

test('R24: an instance with a node that is gone has failed at once; its siblings need not notice', () => {
  const scene = plain();
  scene.judge('b', 'suspect');
  assert.deepEqual(scene.look(), []);
  scene.judge('b', 'dead');
  const { nodeId, message } = failureOf(scene);
  assert.deepEqual([nodeId, message], ['b', 'b: rank 1 is lost: the node is gone']);
  assert.ok(!isRouted(scene));
  assert.deepEqual(scene.lookAfter(1_000_000), [], 'it waits for its node');
  scene.judge('b', 'alive');
  assert.deepEqual(kinds(scene.look()), ['InstanceRetrying']);
});

test('R24: a node that was started anew takes the others with it once they were linked, and joins those that were not', () => {
  const statuses: RunnerStatus[] = ['spawned', 'connecting', 'loading', 'warming_up', 'ready', 'running'];
  for (const status of statuses) {
    const scene = plain();
    scene.report(plainOf(scene), status);
    scene.join('b', { incarnation: 2 });
    const events = scene.look();
    if (status === 'spawned' || status === 'connecting') assert.deepEqual(events, [], status);
    else {
      assert.deepEqual(kinds(events), ['InstanceFailed'], status);
      assert.deepEqual(kinds(scene.lookAfter(TIMES.attemptBaseMs)), ['InstanceRetrying']);
    }
  }
});

test('R24: after a power cut of all its nodes nothing has failed, and nothing is counted', () => {
  const scene = wished();
  for (const name of ['a', 'b']) scene.join(name, { incarnation: 2 });
  assert.deepEqual(
    kinds(scene.look()).filter((kind) => kind === 'InstanceFailed'),
    [],
  );
  scene.serve('m');
  assert.equal(scene.of('m').consecutiveFailures, 0);
});

test('R24: Ring needs the links of neighbours, Mesh those of every pair', () => {
  const on = (transport: Transport, ...names: string[]) =>
    neededLinks({ ...instanceRecord('x', ids(names)), transport }).map((pair) => pair.join(''));
  assert.deepEqual(on('Ring', 'a'), []);
  assert.deepEqual(on('Ring', 'a', 'b'), ['ab']);
  assert.deepEqual(on('Ring', 'a', 'b', 'c'), ['ab', 'ac', 'bc']);
  assert.deepEqual(on('Ring', 'a', 'b', 'c', 'd'), ['ab', 'ad', 'bc', 'cd']);
  assert.deepEqual(on('Mesh', 'a', 'b', 'c', 'd'), ['ab', 'ac', 'ad', 'bc', 'bd', 'cd']);
});

test('R24: a link that is needed and lost for long is a failure of nobody, and is waited for', () => {
  const scene = plain();
  const lose = (lostForMs: number) => {
    scene.lostLinks = [{ nodes: ['b', 'a'] as unknown as readonly [NodeId, NodeId], lostForMs }];
  };
  lose(TIMES.linkLossConfirmMs - 1);
  assert.deepEqual(scene.look(), []);
  lose(TIMES.linkLossConfirmMs);
  const { nodeId, message } = failureOf(scene);
  assert.equal(nodeId, null);
  assert.match(message, /^there is no way between b and a, which Ring needs/);
  assert.deepEqual(scene.lookAfter(1_000_000), []);
  scene.lostLinks = [];
  assert.deepEqual(kinds(scene.look()), ['InstanceRetrying']);
});

test('R24: a lost link that the transport does not need harms nothing', () => {
  const lost = { nodes: ['a', 'c'] as unknown as readonly [NodeId, NodeId], lostForMs: 1_000_000 };
  const scene = new Scene('a', 'b', 'c', 'd');
  const instance = instanceRecord('x', ids(['a', 'b', 'c', 'd']));
  scene.apply({ kind: 'InstanceCreated', instance });
  scene.report(plainOf(scene), 'ready');
  scene.lostLinks = [lost];
  assert.deepEqual(scene.look(), []);
  const mesh = plain('Mesh');
  mesh.lostLinks = [lost];
  assert.deepEqual(kinds(mesh.look()), ['InstanceFailed']);
});

test('R22, R24: a wish whose link stays away is placed anew, where there is a way', () => {
  const scene = wished();
  scene.join('c');
  scene.lostLinks = [
    { nodes: ['a', 'b'] as unknown as readonly [NodeId, NodeId], lostForMs: TIMES.linkLossConfirmMs },
  ];
  assert.deepEqual(kinds(scene.look()), ['InstanceFailed']);
  scene.unlinked.add('b');
  scene.lostLinks = scene.lostLinks.map((link) => ({
    ...link,
    lostForMs: TIMES.linkLossConfirmMs + TIMES.nodeLossGraceMs,
  }));
  assert.deepEqual(kinds(scene.look()), ['InstanceDeleted', 'InstanceCreated']);
  assert.deepEqual(scene.places('m').sort(), ['a', 'c']);
});

test('R48: ranks that nobody declared are started anew together, later each time, ten times, then stay failed', () => {
  const scene = plain();
  const delays: number[] = [];
  for (let restart = 1; restart <= RESTART_POLICY.maxRestarts; restart += 1) {
    scene.report(plainOf(scene), 'failed');
    assert.deepEqual(kinds(scene.look()), ['InstanceFailed']);
    const [first] = runnersOf(scene.state, plainOf(scene));
    const dueAt = first!.restartAt!;
    delays.push(dueAt - scene.now);
    scene.now = dueAt - 1;
    assert.deepEqual(scene.look(), []);
    assert.deepEqual(kinds(scene.lookAfter(1)), ['InstanceRetrying']);
    for (const { status, restarts } of runnersOf(scene.state, plainOf(scene)))
      assert.deepEqual([status, restarts], ['spawned', restart]);
  }
  for (const [at, delayMs] of delays.entries()) {
    const fullMs = Math.min(TIMES.attemptMaxMs, TIMES.attemptBaseMs * 2 ** at);
    assert.ok(delayMs <= fullMs && delayMs >= 0.75 * fullMs, `${delayMs} of ${fullMs} ms`);
  }
  scene.report(plainOf(scene), 'failed');
  assert.deepEqual(kinds(scene.look()), ['InstanceFailed']);
  assert.deepEqual(scene.lookAfter(1_000_000), []);
  assert.match(plainOf(scene).failure!.message, /SIGKILL/);
  scene.join('c', { incarnation: 2 });
  assert.deepEqual(
    kinds(scene.look()),
    ['InstanceRetrying'],
    'like a single runner, it is back with its node',
  );
});

test('R48: ranks that ran for a healthy period start counting anew', () => {
  const scene = plain();
  for (const ranForMs of [1, 1, RESTART_POLICY.healthyMs]) {
    for (const rank of [0, 1, 2]) fail(scene, rank, { ranForMs });
    scene.look();
    scene.now = runnersOf(scene.state, plainOf(scene))[0]!.restartAt!;
    scene.look();
  }
  for (const { restarts } of runnersOf(scene.state, plainOf(scene))) assert.equal(restarts, 1);
});

test('R27, R35: machines that go and come back under a model that served are not counted against it', () => {
  const scene = wished();
  const [, lost = ''] = scene.places('m');
  for (let cut = 1; cut <= 6; cut += 1) {
    scene.report(scene.instance('m'), 'ready');
    scene.look();
    assert.equal(scene.status('m'), 'ready');
    if (cut % 2 === 0) scene.judge(lost, 'dead');
    scene.join(lost, { incarnation: cut + 1 });
    scene.judge(lost, 'alive');
    scene.look();
    assert.equal(scene.status('m'), 'retrying');
    assert.equal(scene.of('m').errors.length, cut, 'it is told all the same');
    assert.equal(scene.of('m').consecutiveFailures, 0);
    scene.now = scene.of('m').nextAttempt!.at;
    scene.look();
  }
});

test('R26, R27: a machine that goes after as many failures as are allowed does not end the instance', () => {
  const scene = wished();
  const [, lost = ''] = scene.places('m');
  const { instanceId } = scene.instance('m');
  for (let failure = 1; failure <= LIMITS.instanceRetries; failure += 1) {
    scene.report(scene.instance('m'), 'failed');
    scene.look();
    scene.now = scene.of('m').nextAttempt!.at;
    scene.look();
  }
  for (let cut = 1; cut <= 2; cut += 1) {
    scene.report(scene.instance('m'), 'ready');
    scene.judge(lost, 'dead');
    scene.look();
    scene.judge(lost, 'alive');
    scene.join(lost, { incarnation: cut + 1 });
    assert.equal(scene.status('m'), 'retrying');
    scene.now = scene.of('m').nextAttempt!.at;
    scene.look();
    assert.deepEqual([scene.instance('m').instanceId, scene.of('m').consecutiveFailures], [instanceId, 3]);
  }
  scene.report(scene.instance('m'), 'failed');
  scene.look();
  scene.look();
  assert.ok(!scene.state.instances.has(instanceId), 'one that is its own is the last');
});

test('R26, R28: a machine that goes again and again while a model starts there is counted: the model may be the cause', () => {
  const scene = wished();
  const [, lost = ''] = scene.places('m');
  for (let cut = 1; cut <= 4; cut += 1) {
    scene.report(scene.instance('m'), 'loading');
    scene.join(lost, { incarnation: cut + 1 });
    scene.look();
    assert.equal(scene.of('m').consecutiveFailures, cut);
    scene.now = scene.of('m').nextAttempt?.at ?? scene.now;
    scene.look();
  }
});
