import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from '../shared/limits.js';
import type { ControlEvent } from './events.js';
import { runningTasks } from './instances.js';
import { assignTask } from './master.js';
import { chooseInstance } from './routing.js';
import type { ClusterState } from './state.js';
import { instanceRecord, MODEL, runnerStatusChanged, stateAfter, taskRecord } from './testing.js';

const created = (id: string): ControlEvent => ({ kind: 'InstanceCreated', instance: instanceRecord(id) });
const assigned = (id: string, instance: string): ControlEvent => ({
  kind: 'TaskAssigned',
  task: taskRecord(id, instance),
});

function chosen(state: ClusterState): string {
  const choice = chooseInstance(state, MODEL, 0);
  return 'instance' in choice ? choice.instance.instanceId : choice.fault.code;
}

test('R4: no instance of the model is a coded error', () => {
  assert.equal(chosen(stateAfter()), 'no_instance');
});

test('R2: an instance whose runner has not reported yet takes requests', () => {
  assert.equal(chosen(stateAfter(created('a'))), 'a');
});

test('R3: a dead instance with no task never wins against a busy healthy one', () => {
  const state = stateAfter(
    created('a'),
    created('b'),
    runnerStatusChanged('a', 'failed'),
    assigned('1', 'b'),
    assigned('2', 'b'),
  );
  assert.equal(chosen(state), 'b');
});

test('R4: when all have failed, the error says why and when it is worth another try', () => {
  const failed: ControlEvent = {
    ...(runnerStatusChanged('a', 'failed') as Extract<ControlEvent, { kind: 'RunnerStatusChanged' }>),
    restartAt: 3_000,
    error: {
      code: 'runner_failed',
      message: 'Terminated (signal=6 SIGABRT)',
      phase: 'ready',
      stderrTail: [],
      ranForMs: 1,
    },
  };
  const choice = chooseInstance(stateAfter(created('a'), failed), MODEL, 1_000);
  assert.ok('fault' in choice);
  assert.equal(choice.fault.code, 'all_instances_failed');
  assert.match(choice.fault.message, /SIGABRT/);
  assert.equal(choice.fault.retryAfterMs, 3_000);
});

test('R16: past the bound of every instance the answer is queue_full', () => {
  const events: ControlEvent[] = [created('a')];
  for (let i = 0; i < LIMITS.instanceQueueRequests; i += 1) events.push(assigned(`t${i}`, 'a'));
  assert.equal(chosen(stateAfter(...events)), 'queue_full');
});

test('R13, R15: a burst over idle instances differs by at most one, and ties are the same every time', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 40 }), (instances, requests) => {
      const names = Array.from({ length: instances }, (_, i) => `i${i}`);
      let events = names.map(created);
      for (let i = 0; i < requests; i += 1) {
        const command = { ...taskRecord(`t${i}`, ''), modelId: MODEL };
        const decision = assignTask(stateAfter(...events), command, 0);
        assert.ok('events' in decision);
        events = [...events, ...decision.events];
      }
      const state = stateAfter(...events);
      const counts = [...state.instances.keys()].map((id) => runningTasks(state, id));
      assert.ok(Math.max(...counts) - Math.min(...counts) <= 1);
    }),
  );
});
