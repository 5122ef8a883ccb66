import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InstanceId, MetaInstanceId, NodeId, RunnerId } from '../shared/ids.js';
import { Scene } from './reconcile/testing.js';
import { instanceRecord } from './testing.js';
import { planWorker } from './workerPlan.js';

const MEGABYTE = 1e6;

/** What the worker of a node does, when it has these runners, and others of these instances are on their way out. */
function plan(
  scene: Scene,
  nodeId: string,
  supervised: readonly string[],
  leaving: readonly string[] = [],
  memoryBytes: Readonly<Record<string, number>> = {},
) {
  const has = {
    supervised: new Set(supervised as RunnerId[]),
    leaving: new Set(leaving as InstanceId[]),
    memoryBytes: new Map(Object.entries(memoryBytes).map(([id, bytes]) => [id as RunnerId, bytes])),
  };
  return planWorker(scene.state, nodeId as NodeId, has).map((action) =>
    action.kind === 'StartRunner' ? `start ${action.shard.runnerId}` : `stop ${action.runnerId}`,
  );
}

function onTwoNodes(): { scene: Scene; ranks: [string, string][]; instanceId: InstanceId } {
  const scene = new Scene('a', 'b');
  scene.wish('m', { minNodes: 2 });
  scene.look();
  const { shards, instanceId } = scene.instance('m');
  return { scene, instanceId, ranks: shards.map(({ nodeId, runnerId }) => [nodeId, runnerId]) };
}

test('R22: each worker starts its own shard, and is then content', () => {
  const { scene, ranks } = onTwoNodes();
  for (const [node, runner] of ranks) {
    assert.deepEqual(plan(scene, node, []), [`start ${runner}`]);
    assert.deepEqual(plan(scene, node, [runner]), []);
  }
});

test('R32: when one runner has failed, its siblings end, or do not start, until the master says so', () => {
  const { scene, ranks } = onTwoNodes();
  scene.report(scene.instance('m'), 'failed', 0);
  const [, [node, runner] = ['', '']] = ranks;
  const expectRest = () => {
    assert.deepEqual(plan(scene, node, []), []);
    assert.deepEqual(plan(scene, node, [runner]), [`stop ${runner}`]);
  };
  expectRest();
  scene.report(scene.instance('m'), 'stopped', 1);
  expectRest();
  scene.look();
  expectRest();
  scene.now = scene.of('m').nextAttempt!.at;
  scene.look();
  for (const { nodeId, runnerId } of scene.instance('m').shards)
    assert.deepEqual(plan(scene, nodeId, []), [`start ${runnerId}`]);
});

test('R7: the runners of the next attempt start when those of the one before have ended', () => {
  const { scene, ranks, instanceId } = onTwoNodes();
  const [[node, old] = ['', '']] = ranks;
  scene.report(scene.instance('m'), 'failed');
  scene.look();
  scene.now = scene.of('m').nextAttempt!.at;
  scene.look();
  const [shard] = scene.instance('m').shards;
  assert.deepEqual(plan(scene, node, [old], [instanceId]), [`stop ${old}`]);
  assert.deepEqual(plan(scene, node, [], [instanceId]), []);
  assert.deepEqual(plan(scene, node, [], ['another']), [`start ${shard?.runnerId}`]);
});

test('R30: what was taken back is stopped in whatever status, also while it leaves already', () => {
  for (const status of [
    'spawned',
    'connecting',
    'loading',
    'warming_up',
    'ready',
    'stopping',
    'failed',
  ] as const) {
    const { scene, ranks, instanceId } = onTwoNodes();
    scene.report(scene.instance('m'), status);
    scene.apply({ kind: 'MetaInstanceDeleted', metaInstanceId: 'm' as MetaInstanceId });
    for (const [node, runner] of ranks) {
      assert.deepEqual(plan(scene, node, [runner]), [`stop ${runner}`]);
      assert.deepEqual(plan(scene, node, [], [instanceId]), []);
    }
  }
});

test('R31: a runner waits while those that leave have the memory that it was given, and not otherwise', () => {
  const scene = new Scene('a');
  scene.wish('old');
  scene.look();
  const { instanceId, shards } = scene.instance('old');
  const [{ runnerId: old, memoryBytes } = { runnerId: '', memoryBytes: 0 }] = shards;
  scene.apply({ kind: 'MetaInstanceDeleted', metaInstanceId: 'old' as MetaInstanceId });
  scene.wish('new');
  scene.look();
  const [{ runnerId: next } = { runnerId: '' }] = scene.instance('new').shards;
  const offered = scene.state.nodes.get('a' as NodeId)!.memoryBytes;
  assert.ok(2 * memoryBytes > offered, 'there is room for one only');
  const held = { [old]: memoryBytes };
  assert.deepEqual(plan(scene, 'a', [old], [], held), [`stop ${old}`]);
  assert.deepEqual(plan(scene, 'a', [], [instanceId], held), []);
  assert.deepEqual(plan(scene, 'a', [], [], {}), [`start ${next}`]);
  assert.deepEqual(plan(scene, 'a', [], [instanceId], { [old]: offered - memoryBytes }), [`start ${next}`]);
  assert.deepEqual(plan(scene, 'a', [next], [instanceId], { ...held, [next]: memoryBytes }), []);
});

test('R31: what two masters placed on one node begins as far as there is room, and what is alone there always', () => {
  const scene = new Scene('a');
  const wishes = ['first', 'second', 'third'];
  for (const wish of wishes) scene.wish(wish);
  scene.join('a', { memoryBytes: 4_000 * MEGABYTE });
  for (const _ of wishes) scene.look();
  const [first, second, third] = wishes.map((wish) => scene.instance(wish).shards[0]!);
  const offers = (megabytes: number) =>
    scene.join('a', { memoryBytes: megabytes * MEGABYTE, incarnation: 2 });
  const starts = (...runners: readonly (typeof first)[]) =>
    runners.map((shard) => `start ${shard?.runnerId}`);
  const held = (...runners: readonly (typeof first)[]) =>
    Object.fromEntries(runners.map((shard) => [shard!.runnerId, shard!.memoryBytes]));
  assert.deepEqual(plan(scene, 'a', []), starts(first, second, third));
  offers(1_200);
  assert.deepEqual(plan(scene, 'a', []), starts(first, second));
  offers(600);
  assert.deepEqual(plan(scene, 'a', []), starts(first));
  assert.deepEqual(plan(scene, 'a', [second!.runnerId], [], held(second)), []);
  offers(100);
  assert.deepEqual(plan(scene, 'a', []), starts(first));
});

test('R31: what a person made by hand begins also where there is no room for it', () => {
  const scene = new Scene('a');
  const instances = ['one', 'two'].map((name) => instanceRecord(name, ['a' as NodeId]));
  for (const instance of instances) scene.apply({ kind: 'InstanceCreated', instance });
  scene.join('a', { memoryBytes: 1, incarnation: 2 });
  assert.equal(plan(scene, 'a', []).length, 2);
});
