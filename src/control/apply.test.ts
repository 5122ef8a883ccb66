import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { InstanceId, RunnerId, TaskId } from '../shared/ids.js';
import { LIMITS } from '../shared/limits.js';
import { apply } from './apply.js';
import type { ControlEvent } from './events.js';
import { EMPTY_STATE, type RunnerFailure } from './state.js';
import { instanceRecord, NODE, runnerStatusChanged, stateAfter, taskRecord } from './testing.js';

const created = (id: string): ControlEvent => ({ kind: 'InstanceCreated', instance: instanceRecord(id) });
const deleted = (id: string): ControlEvent => ({ kind: 'InstanceDeleted', instanceId: id as InstanceId });
const assigned = (id: string, instance: string): ControlEvent => ({
  kind: 'TaskAssigned',
  task: taskRecord(id, instance),
});
const finished = (id: string): ControlEvent => ({
  kind: 'TaskFinished',
  taskId: id as TaskId,
  status: 'complete',
});

test('an instance comes with its runners, and takes them and its tasks away', () => {
  const before = stateAfter(created('a'), created('b'), assigned('t', 'a'));
  assert.deepEqual([...before.runners.keys()], ['a-0', 'b-0']);
  const after = apply(before, deleted('a'));
  assert.deepEqual([...after.runners.keys()], ['b-0']);
  assert.equal(after.tasks.get('t' as TaskId)?.status, 'cancelled');
});

test('R33: events about what is not there change nothing but the index', () => {
  const state = stateAfter(created('a'));
  const strangers = [
    runnerStatusChanged('gone', 'ready'),
    deleted('gone'),
    assigned('t', 'gone'),
    finished('gone'),
  ];
  for (const event of strangers) assert.deepEqual(apply(state, event), { ...state, index: state.index + 1 });
});

test('the last failure of a runner stays visible while it comes back', () => {
  const error: RunnerFailure = {
    code: 'runner_failed',
    message: 'Terminated (signal=9 SIGKILL)',
    phase: 'ready',
    stderrTail: [],
    ranForMs: 5,
  };
  const failed = { ...runnerStatusChanged('a', 'failed'), error } as ControlEvent;
  const state = stateAfter(created('a'), failed, runnerStatusChanged('a', 'spawned'));
  assert.equal(state.runners.get('a-0' as RunnerId)?.status, 'spawned');
  assert.deepEqual(state.runners.get('a-0' as RunnerId)?.error, error);
});

test('R58: finished tasks are bounded, running ones are never forgotten', () => {
  const events: ControlEvent[] = [created('a'), assigned('first', 'a')];
  for (let i = 0; i < LIMITS.finishedTasks + 50; i += 1)
    events.push(assigned(`t${i}`, 'a'), finished(`t${i}`));
  const state = stateAfter(...events);
  assert.equal(state.tasks.size, LIMITS.finishedTasks + 1);
  assert.equal(state.tasks.get('first' as TaskId)?.status, 'running');
  assert.equal(state.tasks.has('t49' as TaskId), false);
  assert.equal(state.tasks.has('t50' as TaskId), true);
});

test('a lower or equal term never changes the master', () => {
  const elected = (nodeId: string, term: number): ControlEvent => ({
    kind: 'MasterElected',
    nodeId: nodeId as typeof NODE,
    term,
  });
  const state = stateAfter(elected(NODE, 2), elected('other', 2), elected('other', 1));
  assert.equal(state.masterNodeId, NODE);
  assert.equal(state.term, 2);
});

test('the reducer is total, counts every event, and never changes its input', () => {
  const ids = fc.constantFrom('a', 'b', 'c');
  const event = fc.oneof(
    ids.map(created),
    ids.map(deleted),
    fc.tuple(ids, ids).map(([task, instance]) => assigned(task, instance)),
    ids.map(finished),
    fc
      .tuple(ids, fc.constantFrom('spawned', 'ready', 'failed', 'stopped'))
      .map(([id, status]) => runnerStatusChanged(id, status as 'ready')),
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      let state = EMPTY_STATE;
      for (const next of events) {
        const copy = structuredClone(state);
        const after = apply(state, next);
        assert.deepEqual(state, copy);
        assert.equal(after.index, state.index + 1);
        for (const runner of after.runners.values()) assert.ok(after.instances.has(runner.instanceId));
        for (const task of after.tasks.values()) {
          if (task.status === 'running') assert.ok(after.instances.has(task.instanceId));
        }
        state = after;
      }
    }),
  );
});
