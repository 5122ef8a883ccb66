import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MetaInstanceId, NodeId, TaskId } from '../shared/ids.js';
import { LIMITS } from '../shared/limits.js';
import { findTask } from './instances.js';
import { Scene } from './reconcile/testing.js';
import { metaInstanceCreated, metaInstanceDeleted, stateAfter, taskAssigned } from './testing.js';

/** Wishes in each status, with a task wherever there is an instance. */
const SITUATIONS: Readonly<Record<string, (scene: Scene) => void>> = {
  placing: () => undefined,
  pending: (scene) => {
    scene.judge('a', 'suspect');
    scene.look();
  },
  starting: (scene) => {
    scene.look();
    scene.report(scene.instance('m'), 'warming_up');
  },
  ready: (scene) => {
    scene.look();
    scene.serve('m');
  },
  retrying: (scene) => {
    scene.look();
    scene.report(scene.instance('m'), 'failed');
    scene.look();
  },
  failed: (scene) => {
    scene.look();
    scene.failForGood('m');
  },
};

for (const [status, happen] of Object.entries(SITUATIONS)) {
  test(`R30: a wish that is ${status} is taken back with its instances, its runners and their tasks`, () => {
    const scene = new Scene('a');
    scene.wish('m');
    happen(scene);
    assert.equal(scene.status('m'), status);
    const gone = scene.instances('m').map(({ instanceId }) => instanceId);
    for (const instanceId of gone) scene.apply(taskAssigned('t', instanceId, 'z' as NodeId));
    scene.apply(metaInstanceDeleted('m'), metaInstanceDeleted('m'));
    const { state } = scene;
    for (const map of [state.metaInstances, state.instances, state.runners, state.tasks, state.modelShapes])
      assert.equal(map.size, 0);
    if (gone.length > 0) assert.equal(findTask(state, 't' as TaskId)?.status, 'cancelled');
    for (const instanceId of gone) assert.ok(state.deletedInstances.includes(instanceId));
    assert.deepEqual(state.deletedMetaInstances, ['m']);
    scene.wish('m');
    assert.deepEqual(scene.lookAfter(1_000_000), []);
    assert.equal(scene.state.metaInstances.size, 0);
  });
}

test('R30: the wishes of others, and the model that one of them shares, stay', () => {
  const scene = new Scene('a', 'b');
  scene.wish('m');
  scene.wish('n');
  scene.look();
  const { instanceId } = scene.instance('n');
  scene.apply(taskAssigned('t', instanceId, 'z' as NodeId), metaInstanceDeleted('m'));
  assert.equal(scene.instance('n').instanceId, instanceId);
  assert.equal(findTask(scene.state, 't' as TaskId)?.status, 'running');
  assert.equal(scene.state.modelShapes.size, 1);
});

test('R33: what was taken back is remembered where it was never known, and the memory is bounded', () => {
  let state = stateAfter(metaInstanceDeleted('m'), metaInstanceCreated('m'));
  assert.equal(state.metaInstances.size, 0);
  const more = Array.from({ length: LIMITS.deletedMetaInstances }, (_, at) => metaInstanceDeleted(`d${at}`));
  state = stateAfter(metaInstanceDeleted('m'), ...more);
  assert.equal(state.deletedMetaInstances.length, LIMITS.deletedMetaInstances);
  assert.equal(state.deletedMetaInstances[0], 'd0');
});

test('R28: errors are the newest, and bounded, however long it fails', () => {
  const scene = new Scene('a', 'b', 'c', 'd', 'e', 'f', 'g');
  scene.wish('m');
  scene.look();
  while (scene.instances('m').length > 0) scene.failOnce('m');
  assert.equal(scene.status('m'), 'failed');
  const { errors, consecutiveFailures } = scene.of('m');
  assert.equal(consecutiveFailures, 7 * (LIMITS.instanceRetries + 1));
  assert.equal(errors.length, LIMITS.metaInstanceErrors);
  assert.equal(errors.at(-1)?.at, Math.max(...errors.map(({ at }) => at)));
});

test('R20: a wish that comes twice is one, and keeps what became of it', () => {
  const scene = new Scene('a');
  scene.wish('m');
  scene.look();
  const before = scene.of('m' as MetaInstanceId);
  scene.wish('m', { minNodes: 5 });
  assert.equal(scene.of('m'), before);
});
