import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InstanceId, MetaInstanceId, ModelId, NodeId, RunnerId, TaskId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import type { ControlEvent } from '../events.js';
import { chooseInstance } from '../routing.js';
import type { InstanceRecord } from '../state.js';
import { MODEL, metaInstanceCreated, modelShape, nodeFact, taskAssigned } from '../testing.js';
import { kinds, Scene } from './testing.js';

const taskOn = (scene: Scene, task: string, instanceId: InstanceId): void =>
  scene.apply(taskAssigned(task, instanceId, 'z' as NodeId));

/** A second instance of the wish, as another master would have made it, on that node. */
function copyOf(scene: Scene, id: string, nodeId: string): ControlEvent {
  const instance = scene.instances(id)[0]!;
  const instanceId = `${id}-other-${nodeId}` as InstanceId;
  const shards = instance.shards.map((shard) => ({
    ...shard,
    nodeId: nodeId as NodeId,
    runnerId: `${instanceId}-1-0` as (typeof shard)['runnerId'],
  }));
  return { kind: 'InstanceCreated', instance: { ...instance, instanceId, shards } };
}

test('R20: a wish becomes one instance with all layers, on a node that has the files', () => {
  const scene = new Scene();
  scene.join('a', { models: [] });
  scene.join('b');
  scene.wish('m');
  assert.equal(scene.status('m'), 'placing');
  assert.deepEqual(kinds(scene.look()), ['InstanceCreated']);
  const instance = scene.instance('m');
  assert.equal(instance.metaInstanceId, 'm');
  assert.deepEqual([instance.contextLength, instance.maxSequences], [512, 1]);
  const [shard, ...others] = instance.shards;
  assert.deepEqual(others, []);
  assert.deepEqual([shard?.nodeId, shard?.startLayer, shard?.endLayer, shard?.worldSize], ['b', 0, 8, 1]);
  assert.ok(shard !== undefined && shard.memoryBytes > 440e6 && shard.memoryBytes < 1e9);
  assert.equal(scene.status('m'), 'starting');
  assert.deepEqual(kinds(scene.serve('m')), ['MetaInstanceServed']);
  assert.equal(scene.status('m'), 'ready');
});

test('R22: a wish for two nodes becomes shards that together are the whole model', () => {
  const scene = new Scene('a', 'b', 'c');
  scene.wish('m', { minNodes: 2 });
  scene.look();
  const { shards } = scene.instance('m');
  assert.deepEqual(
    shards.map(({ rank, worldSize }) => [rank, worldSize]),
    [
      [0, 2],
      [1, 2],
    ],
  );
  assert.equal(shards[0]?.startLayer, 0);
  assert.equal(shards[0]?.endLayer, shards[1]?.startLayer);
  assert.equal(shards[1]?.endLayer, 8);
  assert.equal(new Set(scene.places('m')).size, 2);
});

test('R31: the same model twice is two instances, and never more than a node has', () => {
  const scene = new Scene('a', 'b');
  for (const id of ['m', 'n', 'o', 'p']) scene.wish(id);
  scene.look();
  assert.deepEqual([...scene.places('m'), ...scene.places('n')].sort(), ['a', 'b']);
  // What is left of both holds one more, cut in two.
  assert.deepEqual(scene.places('o').sort(), ['a', 'b']);
  assert.equal(scene.status('p'), 'pending');
});

test('R39: what is placed by hand counts as taken too', () => {
  const scene = new Scene('a', 'b');
  scene.wish('m');
  scene.look();
  const byHand = { ...scene.instance('m'), instanceId: 'x' as InstanceId, metaInstanceId: null };
  scene.apply(
    { kind: 'MetaInstanceDeleted', metaInstanceId: 'm' as MetaInstanceId },
    { kind: 'InstanceCreated', instance: byHand },
  );
  scene.wish('n', { nodeIds: byHand.shards.map(({ nodeId }) => nodeId) });
  scene.look();
  assert.equal(scene.status('n'), 'pending');
});

test('R29: what does not fit says why for each node, is tried ever less often, and fits at once when a node joins', () => {
  const scene = new Scene();
  scene.join('a', { memoryBytes: 100e6 });
  scene.join('b', { models: [] });
  scene.wish('m');
  assert.deepEqual(kinds(scene.look()), ['PlacementRefused']);
  assert.equal(scene.status('m'), 'pending');
  const problem = scene.of('m').placementProblem!;
  assert.deepEqual(
    problem.nodes.map(({ nodeId }) => nodeId),
    ['a', 'b'],
  );
  for (const { reason } of problem.nodes) assert.ok(reason.length > 0);
  const delays: number[] = [];
  for (let count = 1; count < 9; count += 1) {
    const { at } = scene.of('m').nextAttempt!;
    delays.push(at - scene.now);
    scene.now = at - 1;
    assert.deepEqual(scene.look(), []);
    assert.deepEqual(kinds(scene.lookAfter(1)), ['PlacementRefused']);
  }
  assert.ok(
    delays.every((delay, at) => delay <= Math.min(TIMES.attemptMaxMs, TIMES.attemptBaseMs * 2 ** at)),
  );
  assert.ok(delays[7]! > 8 * delays[0]!);
  scene.join('c');
  assert.deepEqual(kinds(scene.look()), ['InstanceCreated']);
  assert.equal(scene.of('m').placementProblem, null);
});

test('R22: what waits gets the memory that another leaves', () => {
  const scene = new Scene('a');
  scene.wish('m');
  scene.wish('n');
  scene.look();
  assert.equal(scene.status('n'), 'pending');
  scene.apply({ kind: 'MetaInstanceDeleted', metaInstanceId: 'm' as MetaInstanceId });
  assert.deepEqual(kinds(scene.look()), ['InstanceCreated']);
  assert.deepEqual(scene.places('n'), ['a']);
});

test('R22: a lost node is waited for, and then its instance goes where it fits', () => {
  const scene = new Scene('a', 'b');
  scene.wish('m');
  scene.look();
  scene.serve('m');
  const [place] = scene.places('m');
  scene.judge(place!, 'suspect');
  assert.deepEqual(scene.lookAfter(60_000), []);
  scene.judge(place!, 'dead');
  assert.deepEqual(kinds(scene.look()), ['MetaInstanceServed']);
  assert.deepEqual(scene.lookAfter(TIMES.nodeLossGraceMs - 1), []);
  assert.deepEqual(kinds(scene.lookAfter(1)), ['InstanceCreated']);
  assert.equal(scene.status('m'), 'starting');
  assert.deepEqual(scene.present('m').length, 1);
  assert.notEqual(scene.present('m')[0]!.shards[0]!.nodeId, place);
  assert.equal(scene.of('m').consecutiveFailures, 0);
  assert.deepEqual(scene.of('m').avoidedNodes, []);
});

test('R22: a node that is back in time, in the same life or a new one, keeps its instance', () => {
  for (const incarnation of [1, 2]) {
    const scene = new Scene('a', 'b');
    scene.wish('m');
    scene.look();
    scene.serve('m');
    const { instanceId } = scene.instance('m');
    const [place] = scene.places('m');
    scene.judge(place!, 'dead');
    scene.lookAfter(TIMES.nodeLossGraceMs - 1);
    scene.join(place!, { incarnation });
    scene.look();
    scene.lookAfter(TIMES.nodeLossGraceMs);
    assert.equal(scene.instance('m').instanceId, instanceId);
    scene.serve('m');
    assert.equal(scene.status('m'), 'ready');
  }
});

test('R22: what fits nowhere else stays, says so, and goes on when its node is back', () => {
  const scene = new Scene('a');
  scene.join('b', { models: [] });
  scene.wish('m');
  scene.look();
  scene.serve('m');
  const { instanceId } = scene.instance('m');
  scene.judge('a', 'dead');
  scene.look();
  assert.deepEqual(kinds(scene.lookAfter(TIMES.nodeLossGraceMs)), ['PlacementRefused']);
  assert.ok(scene.of('m').placementProblem !== null);
  for (let hour = 0; hour < 3; hour += 1) scene.lookAfter(3_600_000);
  assert.equal(scene.instance('m').instanceId, instanceId);
  scene.join('a', { incarnation: 2 });
  scene.look();
  scene.serve('m');
  assert.equal(scene.status('m'), 'ready');
  assert.equal(scene.of('m').placementProblem, null);
  assert.equal(scene.of('m').nextAttempt, null);
});

test('R22: what waits for its node goes elsewhere when a node joins meanwhile', () => {
  const scene = new Scene('a');
  scene.wish('m');
  scene.look();
  scene.judge('a', 'dead');
  scene.lookAfter(TIMES.nodeLossGraceMs);
  scene.join('c');
  assert.deepEqual(kinds(scene.look()), ['InstanceCreated']);
  assert.deepEqual(scene.places('m'), ['a', 'c']);
  scene.report(scene.present('m')[0]!, 'ready');
  scene.look();
  scene.apply({ kind: 'NodeForgotten', nodeId: 'a' as NodeId });
  assert.deepEqual(scene.look(), []);
  assert.deepEqual([scene.places('m'), scene.status('m')], [['c'], 'ready']);
});

test('R22: with one of two nodes lost, what is left is free for the instance that takes its place', () => {
  const scene = new Scene('a', 'b');
  scene.wish('m', { minNodes: 2 });
  scene.look();
  scene.judge('b', 'dead');
  scene.join('c');
  assert.deepEqual(kinds(scene.look()), ['InstanceFailed']);
  assert.deepEqual(kinds(scene.lookAfter(TIMES.nodeLossGraceMs)), ['InstanceDeleted', 'InstanceCreated']);
  assert.deepEqual(scene.places('m').sort(), ['a', 'c']);
});

test('R22: a forgotten node and a deleted instance leave the wish as it was, and it is placed anew', () => {
  const scene = new Scene('a', 'b');
  scene.wish('m');
  scene.look();
  const [place] = scene.places('m');
  scene.judge(place!, 'dead');
  scene.apply({ kind: 'NodeForgotten', nodeId: place as NodeId });
  assert.deepEqual(kinds(scene.look()), ['InstanceCreated']);
  const { instanceId } = scene.instance('m');
  scene.apply({ kind: 'InstanceDeleted', instanceId });
  assert.deepEqual(kinds(scene.look()), ['InstanceCreated']);
  assert.notEqual(scene.instance('m').instanceId, instanceId);
});

/** A wish that two masters have served, each on a node of its own; tasks of the one are `t`. */
function servedTwice(): {
  readonly scene: Scene;
  readonly first: InstanceRecord;
  readonly other: InstanceRecord;
} {
  const scene = new Scene('a', 'b');
  scene.wish('m');
  scene.look();
  scene.apply(copyOf(scene, 'm', scene.places('m')[0] === 'a' ? 'b' : 'a'));
  const [first, other] = scene.instances('m') as [InstanceRecord, InstanceRecord];
  return { scene, first, other };
}

test('R59: of two that serve, the one with more to do is kept; the other takes nothing new and goes when nobody needs it', () => {
  const { scene, first, other } = servedTwice();
  for (const instance of [first, other]) scene.report(instance, 'ready');
  for (const task of ['t1', 't2']) taskOn(scene, task, other.instanceId);
  taskOn(scene, 't3', first.instanceId);
  assert.deepEqual(kinds(scene.look()), ['MetaInstanceSurplus', 'MetaInstanceServed']);
  const choice = chooseInstance(scene.state, { modelId: MODEL, unreachable: new Set() }, scene.now);
  assert.ok('instance' in choice && choice.instance.instanceId === other.instanceId);
  assert.deepEqual(scene.lookAfter(10 * TIMES.surplusGraceMs), []);
  scene.apply({
    kind: 'TaskFinished',
    taskId: 't3' as TaskId,
    instanceId: first.instanceId,
    status: 'complete',
  });
  assert.deepEqual(kinds(scene.look()), ['InstanceDeleted', 'MetaInstanceSurplus']);
  assert.equal(scene.instance('m').instanceId, other.instanceId);
  assert.equal(scene.of('m').servedSince, scene.now - 10 * TIMES.surplusGraceMs);
});

test('R59: of two that serve, an idle one stays for a while: those whom it answers may still be joining', () => {
  const { scene, first, other } = servedTwice();
  for (const instance of [first, other]) scene.report(instance, 'ready');
  scene.look();
  assert.deepEqual(scene.lookAfter(TIMES.surplusGraceMs - 1), []);
  const [, secondById] = [first.instanceId, other.instanceId].sort();
  taskOn(scene, 'late', secondById!);
  assert.deepEqual(kinds(scene.lookAfter(1)), ['InstanceDeleted', 'MetaInstanceSurplus']);
  assert.deepEqual([...scene.state.tasks.keys()], [scene.instance('m').instanceId]);
  assert.deepEqual(scene.state.finishedTasks, []);
});

test('R59: of two, the one that does not serve yet goes at once', () => {
  const { scene, other } = servedTwice();
  scene.report(other, 'ready');
  const events = scene.look();
  assert.equal(events.filter(({ kind }) => kind === 'InstanceDeleted').length, 1);
  assert.equal(scene.instance('m').instanceId, other.instanceId);
});

test('R59: what a lost node may serve to others is left to it, and goes on when the node is back with requests on it', () => {
  const scene = new Scene('a', 'b');
  scene.wish('m');
  scene.look();
  scene.serve('m');
  const [place] = scene.places('m');
  const first = scene.instance('m');
  scene.judge(place!, 'dead');
  scene.lookAfter(TIMES.nodeLossGraceMs);
  const [replacement] = scene.present('m') as [InstanceRecord];
  scene.report(replacement, 'ready');
  scene.look();
  assert.equal(scene.status('m'), 'ready');
  assert.deepEqual(scene.lookAfter(3_600_000), [], 'it stays for as long as its node is gone');
  // The same life of the node comes back, and tells of the requests that it answers.
  scene.join(place!);
  taskOn(scene, 't', first.instanceId);
  assert.deepEqual(kinds(scene.look()), ['MetaInstanceSurplus']);
  assert.deepEqual(kinds(scene.lookAfter(TIMES.surplusGraceMs)), ['InstanceDeleted', 'MetaInstanceSurplus']);
  assert.equal(scene.instance('m').instanceId, first.instanceId);
  assert.deepEqual(scene.state.finishedTasks, []);
});

test('R59: a node that is back in a new life does not load again what is served elsewhere by now', () => {
  const scene = new Scene('a', 'b');
  scene.wish('m');
  scene.look();
  scene.serve('m');
  const [place] = scene.places('m');
  scene.judge(place!, 'dead');
  scene.lookAfter(TIMES.nodeLossGraceMs);
  const [replacement] = scene.present('m') as [InstanceRecord];
  scene.report(replacement, 'ready');
  scene.look();
  scene.join(place!, { incarnation: 2 });
  assert.ok(kinds(scene.look()).includes('InstanceDeleted'));
  assert.equal(scene.instance('m').instanceId, replacement.instanceId);
});

test('R22: when the node that took over is lost as well, a third one takes over', () => {
  const scene = new Scene('a', 'b', 'c');
  scene.wish('m');
  scene.look();
  for (let lost = 0; lost < 2; lost += 1) {
    scene.report(scene.present('m')[0]!, 'ready');
    scene.look();
    scene.judge(scene.present('m')[0]!.shards[0]!.nodeId, 'dead');
    scene.look();
    scene.lookAfter(TIMES.nodeLossGraceMs);
    assert.equal(scene.present('m').length, 1);
  }
  assert.deepEqual(scene.places('m').sort(), ['a', 'b', 'c']);
});

test('R28: what failed for good while another node was gone serves again when that is back', () => {
  const scene = new Scene('a', 'b');
  scene.wish('m');
  scene.look();
  scene.serve('m');
  const [place] = scene.places('m');
  const first = scene.instance('m');
  scene.judge(place!, 'dead');
  scene.lookAfter(TIMES.nodeLossGraceMs);
  for (let attempt = 0; attempt <= LIMITS.instanceRetries; attempt += 1) {
    scene.report(scene.present('m')[0]!, 'failed');
    scene.look();
    scene.lookAfter(TIMES.attemptMaxMs);
  }
  assert.deepEqual(scene.present('m'), []);
  assert.equal(scene.of('m').errors.length, LIMITS.instanceRetries + 1);
  assert.match(
    scene.of('m').placementProblem!.nodes.find(({ nodeId }) => nodeId !== place)!.reason,
    /failed there again and again/,
  );
  scene.join(place!, { incarnation: 2 });
  scene.look();
  scene.report(first, 'ready');
  scene.look();
  assert.equal(scene.status('m'), 'ready');
});

test('R31: what two masters placed into the same memory is placed anew, if its node has not begun with it', () => {
  const scene = new Scene('a', 'b');
  scene.wish('m', { nodeIds: ['a' as NodeId] });
  scene.look();
  scene.serve('m');
  scene.wish('n');
  scene.look();
  assert.deepEqual(scene.places('n'), ['b']);
  const { shards, ...record } = scene.instance('n');
  const moved = shards.map((shard) => ({ ...shard, nodeId: 'a' as NodeId, runnerId: 'n-x-1-0' as RunnerId }));
  scene.apply(
    { kind: 'InstanceDeleted', instanceId: record.instanceId },
    { kind: 'InstanceCreated', instance: { ...record, instanceId: 'n-x' as InstanceId, shards: moved } },
  );
  assert.deepEqual(kinds(scene.look()), ['InstanceDeleted', 'InstanceCreated']);
  assert.deepEqual([scene.places('m'), scene.places('n')], [['a'], ['b']]);
});

test('R35: a node that offers less than before keeps what it ran', () => {
  const scene = new Scene('a', 'b');
  scene.wish('m');
  scene.look();
  scene.serve('m');
  scene.join(scene.places('m')[0]!, { incarnation: 2, memoryBytes: 1e6 });
  scene.look();
  scene.serve('m');
  assert.deepEqual([scene.status('m'), scene.instances('m').length], ['ready', 1]);
});

test('R27: a surplus instance that goes does not hurry the other, which waits for its next attempt', () => {
  const scene = new Scene('a', 'b');
  scene.wish('m');
  scene.look();
  const first = scene.instance('m');
  scene.apply(copyOf(scene, 'm', first.shards[0]!.nodeId === 'a' ? 'b' : 'a'));
  for (const instance of scene.instances('m')) scene.report(instance, 'failed');
  assert.deepEqual(kinds(scene.look()), [
    'InstanceFailed',
    'InstanceFailed',
    'MetaInstanceSurplus',
    'InstanceDeleted',
    'MetaInstanceSurplus',
  ]);
  assert.ok(scene.of('m').nextAttempt!.at > scene.now);
  assert.deepEqual(scene.look(), []);
});

test('R28: an instance that another master made ends a failure for good', () => {
  const scene = new Scene('a');
  scene.wish('m');
  scene.look();
  const copy = copyOf(scene, 'm', 'b');
  scene.failForGood('m');
  assert.equal(scene.status('m'), 'failed');
  scene.join('b');
  scene.apply(copy);
  assert.equal(scene.status('m'), 'starting');
  scene.serve('m');
  assert.equal(scene.status('m'), 'ready');
});

test('R22: a wall clock that jumps in either direction delays nothing for longer than a grace or a backoff', () => {
  for (const jumpMs of [-1e9, 1e9]) {
    const scene = new Scene('a', 'b');
    scene.wish('m');
    scene.look();
    scene.serve('m');
    scene.report(scene.instance('m'), 'failed');
    scene.look();
    assert.deepEqual(kinds(scene.lookAfter(jumpMs)), ['InstanceRetrying']);
    scene.serve('m');
    scene.lookAfter(-1e6);
    assert.equal(scene.of('m').servedSince, scene.now);
    assert.deepEqual(kinds(scene.lookAfter(TIMES.healthyMs)), ['MetaInstanceRecovered']);
    scene.judge(scene.places('m')[0]!, 'dead');
    scene.look();
    scene.now += jumpMs;
    scene.look();
    assert.equal(scene.status('m'), 'starting');
    scene.wish('big', { minNodes: 9 });
    scene.look();
    assert.deepEqual(kinds(scene.lookAfter(jumpMs)), ['PlacementRefused']);
  }
});

test('R34: a model that no node has told of is waited for', () => {
  const scene = new Scene('a');
  const modelId = 'unheard' as ModelId;
  scene.apply(metaInstanceCreated('m', { modelId }));
  scene.look();
  assert.equal(scene.status('m'), 'pending');
  scene.join('a', { models: [MODEL, modelId] });
  assert.deepEqual(kinds(scene.look()), ['InstanceCreated']);
  scene.state = { ...scene.state, modelShapes: new Map() };
  scene.apply({ kind: 'InstanceDeleted', instanceId: scene.instance('m').instanceId });
  const [event] = scene.look();
  assert.ok(event?.kind === 'PlacementRefused');
  assert.match(event.problem.message, /^Nothing is known of the model unheard/);
  scene.state = { ...scene.state, modelShapes: new Map([[modelId, modelShape(modelId)]]) };
  scene.now = event.nextAttemptAt;
  assert.deepEqual(kinds(scene.look()), ['InstanceCreated']);
});

test('R31: a node that stops takes nothing new', () => {
  const scene = new Scene();
  scene.apply({ kind: 'NodeJoined', node: { ...nodeFact('a' as NodeId), isDraining: true } });
  scene.wish('m');
  scene.look();
  assert.equal(scene.status('m'), 'pending');
  scene.join('a');
  assert.deepEqual(kinds(scene.look()), ['InstanceCreated']);
});

test('R29: what waits for a link is placed when the link is there', () => {
  const scene = new Scene('a', 'b');
  scene.unlinked.add('b');
  scene.wish('m', { minNodes: 2 });
  assert.deepEqual(kinds(scene.look()), ['PlacementRefused']);
  assert.deepEqual(scene.look(), []);
  scene.unlinked.clear();
  assert.deepEqual(kinds(scene.look()), ['InstanceCreated']);
});
