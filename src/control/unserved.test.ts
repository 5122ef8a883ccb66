import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Fault } from '../shared/errors.js';
import type { MetaInstanceId, ModelId, NodeId } from '../shared/ids.js';
import { TIMES } from '../shared/limits.js';
import { anyHistory } from './arbitraries.js';
import { Scene } from './reconcile/testing.js';
import { chooseInstance } from './routing.js';
import { MODEL } from './testing.js';

function faultOf({ state, now }: Scene, modelId: ModelId = MODEL): Fault {
  const choice = chooseInstance(state, { modelId, unreachable: new Set() }, now);
  assert.ok('fault' in choice, 'something takes it');
  return choice.fault;
}

function served(...nodes: readonly string[]): Scene {
  const scene = new Scene(...nodes);
  scene.wish('m');
  scene.look();
  scene.serve('m');
  return scene;
}

test('R4: of a model that nobody wants, the client is told how to start it', () => {
  const { code, message } = faultOf(new Scene('a'));
  assert.equal(code, 'no_instance');
  assert.match(message, new RegExp(`no instance of ${MODEL} is running; \`shoal deploy ${MODEL}\``));
  const unknown = faultOf(new Scene('a'), 'gpt-4o' as ModelId);
  assert.equal(unknown.code, 'no_instance');
  assert.match(unknown.message, /no node has a model of this name, and `shoal models list`/);
});

test('R4: of a wish that is tried again, the client is told why and when; soon after that it is served', () => {
  const scene = served('a');
  scene.report(scene.instance('m'), 'failed');
  scene.look();
  scene.now += 500;
  const { code, message, retryAfterMs } = faultOf(scene);
  assert.equal(code, 'all_instances_failed');
  assert.match(message, /a: Terminated \(signal=9 SIGKILL\)\. It is started again in about \d s\./);
  scene.now += retryAfterMs ?? Number.NaN;
  scene.look();
  const choice = chooseInstance(scene.state, { modelId: MODEL, unreachable: new Set() }, scene.now);
  assert.ok('instance' in choice);
});

test('R4: of a wish that failed for good, the client is told the last failure and how to try it again', () => {
  const scene = served('a');
  scene.failForGood('m');
  assert.equal(scene.status('m'), 'failed');
  const { code, message, retryAfterMs } = faultOf(scene);
  assert.deepEqual([code, retryAfterMs], ['all_instances_failed', undefined]);
  assert.match(
    message,
    /not tried any more, the last time with: a: Terminated.*`shoal retry m` tries it again/,
  );
});

test('R4: of a wish without a place, the client is told what is lacking', () => {
  const scene = new Scene();
  scene.join('a', { memoryBytes: 100e6 });
  scene.wish('m');
  assert.equal(faultOf(scene).code, 'not_ready', 'for the moment until the master has looked');
  scene.look();
  const { code, message } = faultOf(scene);
  assert.equal(code, 'no_instance');
  assert.ok(message.includes(scene.of('m').placementProblem!.message));
  assert.match(message, /waits for a place: .*starts by itself as soon as it fits; `shoal status`/);
});

test('R4: of a wish whose node is lost, the client is told which, and how long it is waited for', () => {
  const scene = served('a');
  scene.judge('a', 'dead');
  scene.look();
  scene.now += 1_000;
  const { code, message, retryAfterMs } = faultOf(scene);
  assert.equal(code, 'all_instances_failed');
  assert.match(message, /node a is gone\. It is placed elsewhere in about 9 s if it fits/);
  assert.ok(retryAfterMs! > TIMES.nodeLossGraceMs - 1_000 && retryAfterMs! < 2 * TIMES.nodeLossGraceMs);
  scene.lookAfter(TIMES.nodeLossGraceMs);
  const later = faultOf(scene);
  assert.equal(later.code, 'no_instance');
  assert.match(later.message, /waits for a place, since node a is gone: /);
});

test('R4: of several wishes for a model, the one that may serve soonest speaks', () => {
  const scene = served('a');
  scene.failForGood('m');
  scene.wish('n');
  scene.look();
  scene.failOnce('n');
  scene.report(scene.instance('n'), 'failed');
  scene.look();
  assert.match(faultOf(scene).message, /is started again/);
  scene.apply({ kind: 'MetaInstanceDeleted', metaInstanceId: 'n' as MetaInstanceId });
  assert.match(faultOf(scene).message, /not tried any more/);
});

test('R4: whatever the state, the client is told something, and no wait is longer than any can be', () => {
  fc.assert(
    fc.property(anyHistory, fc.integer({ min: -1e12, max: 1e12 }), (history, now) => {
      const scene = new Scene();
      scene.apply(...history);
      for (const modelId of [MODEL, 'other' as ModelId]) {
        const choice = chooseInstance(scene.state, { modelId, unreachable: new Set<NodeId>() }, now);
        if ('instance' in choice) continue;
        const { message, retryAfterMs = 0 } = choice.fault;
        assert.ok(message.includes(modelId) && !/undefined|NaN/.test(message), message);
        const isPlain = [...scene.state.metaInstances.values()].every((wish) => wish.modelId !== modelId);
        assert.ok(retryAfterMs >= 0 && (isPlain || retryAfterMs <= 2 * TIMES.attemptMaxMs));
      }
    }),
  );
});
