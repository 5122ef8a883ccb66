/** Whatever comes and goes, the master never makes an instance where its memory is taken already. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { InstanceId, MetaInstanceId, NodeId } from '../../shared/ids.js';
import { TIMES } from '../../shared/limits.js';
import { apply } from '../apply.js';
import { decide } from '../cluster/commands.js';
import type { ControlEvent } from '../events.js';
import { NOTHING_MEASURED } from '../measurements.js';
import { takenMemory } from '../placement/takenMemory.js';
import type { ClusterState } from '../state.js';
import { instanceRecord } from '../testing.js';
import { Scene } from './testing.js';

const NODES = ['a', 'b', 'c'] as const;
const MEGABYTE = 1e6;

test('R31, R59: of what two masters gave twice, the one that waits for its next attempt goes elsewhere', () => {
  const scene = twoOnOneNode();
  const [first, second] = [scene.instance('first'), scene.instance('second')];
  scene.report(second, 'ready');
  scene.report(first, 'ready');
  scene.look();
  const stands = () => [first, second].filter(({ instanceId }) => scene.state.instances.has(instanceId));
  assert.deepEqual(stands(), [first, second], 'both were begun: neither is taken from those whom it serves');
  scene.report(first, 'failed');
  scene.look();
  scene.look();
  assert.deepEqual(stands(), [second]);
  assert.deepEqual(scene.places('first'), ['b']);
});

test('R31: a node that offers less than before keeps the only instance that it has', () => {
  const scene = new Scene('a');
  scene.wish('first');
  scene.look();
  scene.serve('first');
  scene.report(scene.instance('first'), 'failed');
  scene.join('a', { memoryBytes: 200 * MEGABYTE, incarnation: 2 });
  const { instanceId } = scene.instance('first');
  scene.lookAfter(100);
  scene.lookAfter(TIMES.attemptMaxMs);
  assert.equal(scene.instance('first').instanceId, instanceId);
});

test('R31, R59: what two masters gave twice, and what does not fit into a new life of its node, goes elsewhere', () => {
  const starts: readonly ((scene: Scene) => void)[] = [
    // Its node has begun the first, and has no room for the second.
    (scene) => scene.report(scene.instance('first'), 'ready'),
    // The second waits for room in its second attempt.
    (scene) => {
      scene.report(scene.instance('first'), 'ready');
      scene.report(scene.instance('second'), 'loading');
      const { instanceId, attempt } = scene.instance('second');
      scene.apply({ kind: 'InstanceRetrying', instanceId, attempt: attempt + 1 });
    },
    // Both ran in the life before; of these, the node begins the first.
    (scene) => {
      scene.report(scene.instance('first'), 'ready');
      scene.report(scene.instance('second'), 'ready');
      scene.join('a', { memoryBytes: 600 * MEGABYTE, incarnation: 3 });
    },
  ];
  for (const start of starts) {
    const scene = twoOnOneNode();
    start(scene);
    const { instanceId } = scene.instance('first');
    scene.look();
    scene.look();
    assert.equal(scene.instance('first').instanceId, instanceId);
    assert.deepEqual(scene.places('first'), ['a']);
    assert.deepEqual(scene.places('second'), ['b']);
  }
});

/** As the masters of two halves see it when they hear of each other: two instances where there is room for one. */
function twoOnOneNode(): Scene {
  const scene = new Scene('a');
  scene.wish('first');
  scene.wish('second');
  scene.join('a', { memoryBytes: 3_000 * MEGABYTE });
  scene.look();
  scene.look();
  scene.join('a', { memoryBytes: 600 * MEGABYTE, incarnation: 2 });
  scene.join('b');
  return scene;
}

type Step = (scene: Scene) => readonly ControlEvent[];

const anyNode = fc.constantFrom(...NODES);
/** One of those that are there. */
const anyWish = fc.nat(3);
/** From too little for half a model to enough for three: one takes about 530 MB. */
const anyMemory = fc.integer({ min: 200, max: 1_700 }).map((megabytes) => megabytes * MEGABYTE);

/** Each gives the events that a master would make of it. */
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(null, null, 2).map(wishes) },
  { weight: 2, arbitrary: anyWish.map(takesBack) },
  { weight: 3, arbitrary: fc.tuple(anyNode, anyMemory).map(startsAgain) },
  { weight: 2, arbitrary: fc.tuple(anyNode, fc.constantFrom('alive', 'suspect', 'dead')).map(isJudged) },
  { weight: 3, arbitrary: fc.tuple(anyWish, fc.constantFrom('failed', 'ready', 'stopped')).map(reports) },
  { weight: 3, arbitrary: fc.tuple(fc.nat(9), anyNode, anyMemory).map(createsByHand) },
  { weight: 1, arbitrary: fc.nat(9).map(deletesByHand) },
  {
    weight: 3,
    arbitrary: fc.constantFrom(100, TIMES.nodeLossGraceMs + 1, TIMES.attemptMaxMs * 2).map(waits),
  },
);

test('R31: no instance is made where there is no room for it, by no way to make one', () => {
  let made = 0;
  fc.assert(
    fc.property(fc.array(anyStep, { minLength: 5, maxLength: 40 }), (steps) => {
      const scene = new Scene(...NODES);
      for (const step of steps) {
        made += follow(scene.state, step(scene));
        const before = scene.state;
        made += follow(before, scene.look());
      }
    }),
    { numRuns: 150 },
  );
  assert.ok(made > 300, `only ${made} instances were made`);
});

/** @returns how many instances were made */
function follow(before: ClusterState, events: readonly ControlEvent[]): number {
  let state = before;
  let made = 0;
  for (const event of events) {
    state = apply(state, event);
    if (event.kind !== 'InstanceCreated' || !state.instances.has(event.instance.instanceId)) continue;
    made += 1;
    const taken = takenMemory(state.instances.values());
    for (const { nodeId } of event.instance.shards) {
      const offered = state.nodes.get(nodeId)?.memoryBytes ?? 0;
      assert.ok((taken.get(nodeId) ?? 0) <= offered, `${nodeId}: ${taken.get(nodeId)} of ${offered}`);
    }
  }
  return made;
}

function wishes(minNodes: number | null): Step {
  return (scene) => {
    const { metaInstances, deletedMetaInstances } = scene.state;
    scene.wish(`m${metaInstances.size + deletedMetaInstances.length}`, { minNodes });
    return [];
  };
}

function takesBack(which: number): Step {
  return (scene) => {
    const metaInstanceId = wishAt(scene, which);
    if (metaInstanceId !== null) scene.apply({ kind: 'MetaInstanceDeleted', metaInstanceId });
    return [];
  };
}

function wishAt({ state }: Scene, which: number): MetaInstanceId | null {
  const ids = [...state.metaInstances.keys()];
  return ids[which % Math.max(1, ids.length)] ?? null;
}

/** With more or less memory than before. */
function startsAgain([name, memoryBytes]: [string, number]): Step {
  return (scene) => {
    const incarnation = (scene.state.nodes.get(name as NodeId)?.incarnation ?? 0) + 1;
    scene.join(name, { memoryBytes, incarnation });
    return [];
  };
}

function isJudged([name, status]: [string, 'alive' | 'suspect' | 'dead']): Step {
  return (scene) => {
    scene.judge(name, status);
    return [];
  };
}

function reports([which, status]: [number, 'failed' | 'ready' | 'stopped']): Step {
  return (scene) => {
    const id = wishAt(scene, which);
    for (const instance of id === null ? [] : scene.instances(id)) scene.report(instance, status);
    return [];
  };
}

/** On a state of long ago, as a person may have it before the eyes: the master looks again. */
function createsByHand([number, nodeId, memoryBytes]: [number, string, number]): Step {
  return (scene) => {
    const plain = instanceRecord(`plain-${number}`, [nodeId as NodeId]);
    const instance = { ...plain, shards: plain.shards.map((shard) => ({ ...shard, memoryBytes })) };
    return carriedOut(scene, { kind: 'CreateInstance', instance });
  };
}

function deletesByHand(number: number): Step {
  return (scene) =>
    carriedOut(scene, { kind: 'DeleteInstance', instanceId: `plain-${number}` as InstanceId });
}

function carriedOut(scene: Scene, command: Parameters<typeof decide>[1]): readonly ControlEvent[] {
  const decision = decide(scene.state, command, {
    ...NOTHING_MEASURED,
    now: scene.now,
    links: scene.links,
    lostLinks: [],
  });
  if ('fault' in decision) return [];
  scene.apply(...decision.events);
  return decision.events;
}

function waits(ms: number): Step {
  return (scene) => {
    scene.now += ms;
    return [];
  };
}
