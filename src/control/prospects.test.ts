import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TIMES } from '../shared/limits.js';
import { apply } from './apply.js';
import type { ControlEvent } from './events.js';
import { hasProspect, isAccountedFor, isExpected } from './prospects.js';
import { Scene } from './reconcile/testing.js';
import type { InstanceRecord } from './state.js';
import {
  instanceCreated,
  instanceDeleted,
  instanceRecord,
  MODEL,
  metaInstanceCreated,
  metaInstanceDeleted,
  NODE,
  runnerFact,
  runnerStatusChanged,
  stateAfter,
} from './testing.js';

const after = (...events: ControlEvent[]) => hasProspect(stateAfter(...events), MODEL);

const failedRunner = (restartAt: number | null): ControlEvent => ({
  kind: 'RunnerStatusChanged',
  runner: { ...runnerFact('a', 'failed', 2), restartAt },
});

const nodeDied: ControlEvent = { kind: 'NodeStatusChanged', nodeId: NODE, status: 'dead', at: 0 };
const wishFailed: ControlEvent = { kind: 'MetaInstanceFailed', metaInstanceId: 'w' as never };
const ofWish = (): ControlEvent => {
  const instance: InstanceRecord = { ...instanceRecord('a'), metaInstanceId: 'w' as never };
  return { kind: 'InstanceCreated', instance };
};

test('R60: an instance of its own may come back while its node restarts it, or may be back itself', () => {
  assert.equal(after(), false, 'there is none');
  assert.equal(after(instanceCreated('a')), true);
  assert.equal(after(instanceCreated('a'), runnerStatusChanged('a', 'ready')), true);
  assert.equal(after(instanceCreated('a'), failedRunner(5_000)), true);
  assert.equal(after(instanceCreated('a'), failedRunner(null)), false, 'it was given up');
  assert.equal(
    after(instanceCreated('a'), failedRunner(null), nodeDied),
    true,
    'it starts anew with its node',
  );
  assert.equal(after(instanceCreated('a'), instanceDeleted('a')), false);
  assert.equal(hasProspect(stateAfter(instanceCreated('a')), 'other' as never), false);
});

test('R60: what comes back has the context that it had; what is placed anew may have what it takes', () => {
  const { contextLength } = instanceRecord('a');
  const hasMore = (events: ControlEvent[], leastContext: number) =>
    hasProspect(stateAfter(...events), MODEL, leastContext);
  for (const events of [[instanceCreated('a')], [metaInstanceCreated('w'), ofWish()]]) {
    assert.deepEqual([hasMore(events, contextLength), hasMore(events, contextLength + 1)], [true, false]);
  }
  const wished = metaInstanceCreated('w');
  assert.ok(wished.kind === 'MetaInstanceCreated');
  const open = { ...wished, metaInstance: { ...wished.metaInstance, contextTokens: null } };
  assert.deepEqual([hasMore([wished], contextLength + 1), hasMore([open], contextLength + 1)], [false, true]);
});

test('R60: a wish is made come true until it has failed for good or is taken back', () => {
  assert.equal(after(metaInstanceCreated('w')), true);
  assert.equal(after(metaInstanceCreated('w'), wishFailed), false);
  assert.equal(after(metaInstanceCreated('w'), metaInstanceDeleted('w')), false);
  const served = [metaInstanceCreated('w'), ofWish()];
  assert.equal(after(...served, failedRunner(null)), true, 'the master starts it anew');
  const failed = apply(stateAfter(...served, failedRunner(null)), wishFailed);
  assert.equal(hasProspect(failed, MODEL), false);
});

test('R60: an instance that the state never had is not one that is gone', () => {
  const knows = (...events: ControlEvent[]) => isAccountedFor(stateAfter(...events), 'a' as never);
  assert.equal(knows(), false);
  assert.equal(knows(instanceCreated('b')), false);
  assert.equal(knows(instanceCreated('a')), true);
  assert.equal(knows(instanceCreated('a'), instanceDeleted('a')), true);
});

test('R4: a new request has something to wait for while a wish is placed, started anew or moved', () => {
  const expects = ({ state }: Scene) => isExpected(state, MODEL);
  const scene = new Scene('a');
  assert.equal(expects(scene), false, 'nobody wishes for it');
  scene.wish('m');
  assert.equal(expects(scene), true, 'it is being placed');
  scene.look();
  scene.serve('m');
  scene.report(scene.instance('m'), 'failed');
  scene.look();
  assert.equal(scene.status('m'), 'retrying');
  assert.equal(expects(scene), true);
  scene.judge('a', 'dead');
  scene.look();
  assert.equal(expects(scene), true, 'its node may come back');
  scene.lookAfter(TIMES.nodeLossGraceMs);
  assert.equal(expects(scene), false, 'there is no other place');
});

test("R4: what has failed for good, fits nowhere, or is nobody's wish is not waited for", () => {
  const failed = new Scene('a');
  failed.wish('m');
  failed.look();
  failed.serve('m');
  failed.failForGood('m');
  assert.equal(isExpected(failed.state, MODEL), false);
  const tight = new Scene();
  tight.join('a', { memoryBytes: 100e6 });
  tight.wish('m');
  tight.look();
  assert.equal(isExpected(tight.state, MODEL), false);
  assert.equal(isExpected(stateAfter(instanceCreated('a'), failedRunner(5_000)), MODEL), false);
});
