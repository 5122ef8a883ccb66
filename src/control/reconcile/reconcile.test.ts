/** Laws of the master's looks after any history of a small cluster. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MetaInstanceId, NodeId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { apply } from '../apply.js';
import { anyHistory } from '../arbitraries.js';
import type { ControlEvent } from '../events.js';
import { takenMemory } from '../placement/takenMemory.js';
import type { RunnerStatus } from '../runnerLife.js';
import type { ClusterState, MetaInstanceWish } from '../state.js';
import { kinds, Scene } from './testing.js';

const WISHES = ['m', 'n', 'o'];
const NODES = ['a', 'b', 'c'];

type Step = (scene: Scene) => void;

const aNode = fc.constantFrom(...NODES);
const aWish = fc.constantFrom(...WISHES);
const aStatus = fc.constantFrom<RunnerStatus>('loading', 'ready', 'ready', 'failed', 'failed', 'stopped');

/** What may happen between two looks. */
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  fc
    .tuple(aNode, fc.constantFrom(150e6, 400e6, 700e6, 1_300e6), fc.integer({ min: 1, max: 3 }), fc.boolean())
    .map(
      ([name, memoryBytes, incarnation, hasFiles]): Step =>
        (scene) => {
          const known = scene.state.nodes.get(name as NodeId);
          // What a node offers is said once, so that it does not shrink under what is placed there.
          const offered = known?.memoryBytes ?? memoryBytes;
          scene.join(name, { memoryBytes: offered, incarnation, ...(hasFiles ? {} : { models: [] }) });
        },
    ),
  fc.tuple(aNode, fc.constantFrom('alive' as const, 'suspect' as const, 'dead' as const)).map(
    ([name, status]): Step =>
      (scene) =>
        scene.judge(name, status),
  ),
  aNode.map(
    (name): Step =>
      (scene) => {
        if (scene.unlinked.has(name)) scene.unlinked.delete(name);
        else scene.unlinked.add(name);
      },
  ),
  fc
    .tuple(
      aWish,
      fc.constantFrom<Partial<MetaInstanceWish>>({}, {}, { minNodes: 2 }, { nodeIds: ['a' as NodeId] }),
    )
    .map(
      ([id, more]): Step =>
        (scene) =>
          scene.wish(id, more),
    ),
  aWish.map(
    (id): Step =>
      (scene) => {
        scene.apply({ kind: 'MetaInstanceDeleted', metaInstanceId: id as MetaInstanceId });
      },
  ),
  aWish.map(
    (id): Step =>
      (scene) => {
        scene.apply({ kind: 'MetaInstanceRetried', metaInstanceId: id as MetaInstanceId });
      },
  ),
  {
    weight: 4,
    arbitrary: fc.tuple(aWish, aStatus, fc.constantFrom(null, null, 0, 1)).map(
      ([id, status, rank]): Step =>
        (scene) => {
          for (const instance of scene.instances(id)) scene.report(instance, status, rank);
        },
    ),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom(100, 5_000, TIMES.nodeLossGraceMs, TIMES.healthyMs, -TIMES.healthyMs).map(
      (ms): Step =>
        (scene) => {
          scene.now += ms;
        },
    ),
  },
);

const anyLife = fc.array(anyStep, { minLength: 1, maxLength: 40 });

function assertRoomFor(event: ControlEvent, state: ClusterState): void {
  if (event.kind !== 'InstanceCreated') return;
  const taken = takenMemory(state.instances.values());
  for (const { nodeId } of event.instance.shards) {
    const node = state.nodes.get(nodeId);
    assert.ok(node !== undefined && node.status === 'alive' && !node.isDraining);
    assert.ok((taken.get(nodeId) ?? 0) <= node.memoryBytes);
    assert.ok(node.models.includes(event.instance.modelId));
  }
}

test('R31: no look ever gives a node more than it has, and none gives out an id twice', () => {
  fc.assert(
    fc.property(anyLife, (steps) => {
      const scene = new Scene('a', 'b');
      const ids = new Set<string>();
      for (const step of steps) {
        step(scene);
        let { state } = scene;
        for (const event of scene.look()) {
          state = apply(state, event);
          assertRoomFor(event, state);
          if (event.kind !== 'InstanceCreated') continue;
          assert.ok(!ids.has(event.instance.instanceId));
          ids.add(event.instance.instanceId);
          assert.ok(state.instances.has(event.instance.instanceId));
        }
      }
    }),
    { numRuns: 300 },
  );
});

test('R23: a look leaves nothing for another one at the same instant, and does not depend on what was looked at', () => {
  fc.assert(
    fc.property(anyLife, (steps) => {
      const scene = new Scene('a', 'b');
      for (const step of steps) {
        step(scene);
        const { state } = scene;
        const events = scene.look();
        assert.ok(events.length < LIMITS.reconcilePasses);
        assert.deepEqual(scene.look(), []);
        const after = scene.state;
        scene.state = state;
        assert.deepEqual(scene.look(), events);
        assert.deepEqual(scene.state, after);
      }
    }),
    { numRuns: 150 },
  );
});

test('R28: whatever happens, a wish is kept until its user takes it back, and is served once the cluster is well', () => {
  fc.assert(
    fc.property(anyLife, (steps) => {
      const scene = new Scene('a', 'b');
      for (const step of steps) {
        const before = new Set(scene.state.metaInstances.keys());
        step(scene);
        for (const id of scene.state.deletedMetaInstances) before.delete(id);
        scene.look();
        for (const id of before) assert.ok(scene.state.metaInstances.has(id));
      }
      scene.unlinked.clear();
      const incarnation = 9;
      for (const name of [...NODES, 'd']) scene.join(name, { memoryBytes: 4e9, incarnation });
      const wishes = [...scene.state.metaInstances.keys()];
      for (const metaInstanceId of wishes) scene.apply({ kind: 'MetaInstanceRetried', metaInstanceId });
      for (let round = 0; round < 4; round += 1) {
        scene.lookAfter(TIMES.attemptMaxMs);
        for (const id of wishes) for (const one of scene.instances(id)) scene.report(one, 'ready');
      }
      for (const id of wishes) assert.equal(scene.status(id), 'ready');
    }),
    { numRuns: 150 },
  );
});

test('R23: from any state at all, also from one that no look has made, looks come to rest', () => {
  fc.assert(
    fc.property(anyHistory, fc.nat(1_000), (history, now) => {
      const scene = new Scene();
      scene.now = now;
      scene.apply(...history);
      assert.ok(scene.look().length < LIMITS.reconcilePasses);
      assert.deepEqual(scene.look(), []);
    }),
  );
});

test('R22: more wishes than one look decides are all decided by the next ones', () => {
  const scene = new Scene();
  const count = LIMITS.reconcilePasses + 10;
  for (let at = 0; at < count; at += 1) {
    scene.join(`n${at}`);
    scene.wish(`w${at}`);
  }
  for (const events of [scene.look(), scene.look()]) assert.ok(kinds(events).includes('InstanceCreated'));
  assert.deepEqual(scene.look(), []);
  assert.equal(scene.state.instances.size, count);
});
