import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { InstanceId, NodeId, RunnerId, TaskId } from '../shared/ids.js';
import { LIMITS } from '../shared/limits.js';
import { apply } from './apply.js';
import { anyEvent, anyHistory } from './arbitraries.js';
import type { ControlEvent } from './events.js';
import { findTask, instanceStatus, tasksIn } from './instances.js';
import { type ClusterState, EMPTY_STATE, type NodeStatus, type RunnerFailure } from './state.js';
import {
  instanceCreated,
  instanceDeleted,
  NODE,
  nodeJoined,
  OTHER_NODE,
  runnerFact,
  runnerStatusChanged,
  stateAfter,
  taskAssigned,
  taskFinished,
  taskRecord,
} from './testing.js';

const statusChanged = (nodeId: NodeId, status: NodeStatus): ControlEvent => ({
  kind: 'NodeStatusChanged',
  nodeId,
  status,
  at: 0,
});
const reported = (incarnation: number, sequence: number, status: 'loading' | 'ready'): ControlEvent => ({
  kind: 'RunnerStatusChanged',
  runner: { ...runnerFact('a', status, sequence), incarnation },
});
const runner = (state: ClusterState) => state.runners.get('a-0' as RunnerId);
const taskStatus = (state: ClusterState, id: string) => findTask(state, id as TaskId)?.status;

test('an instance comes with its runners, and takes them and its tasks away', () => {
  const before = stateAfter(instanceCreated('a'), instanceCreated('b'), taskAssigned('t', 'a'));
  assert.deepEqual([...before.runners.keys()], ['a-0', 'b-0']);
  const after = apply(before, instanceDeleted('a'));
  assert.deepEqual([...after.runners.keys()], ['b-0']);
  assert.equal(taskStatus(after, 't'), 'cancelled');
  assert.equal(after.tasks.size, 0);
});

test('R33: events about what is not there change nothing but the index', () => {
  const state = stateAfter(instanceCreated('a'), taskAssigned('t', 'a'));
  const strangers = [
    runnerStatusChanged('gone', 'ready'),
    taskAssigned('u', 'gone'),
    taskFinished('gone', 'a'),
    taskFinished('t', 'gone'),
    statusChanged('gone' as NodeId, 'dead'),
    { kind: 'NodeForgotten', nodeId: 'gone' as NodeId } as const,
  ];
  for (const event of strangers) assert.deepEqual(apply(state, event), { ...state, index: state.index + 1 });
});

test('the later report of a runner wins, whatever the order of arrival', () => {
  const reports = [reported(1, 1, 'loading'), reported(1, 2, 'ready'), reported(2, 1, 'loading')];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...reports), { maxLength: 8 }), (arrived) => {
      const state = stateAfter(instanceCreated('a'), ...arrived, ...arrived.slice(0, 1));
      const newest = reports.findLast((report) => arrived.includes(report));
      const expected = newest?.kind === 'RunnerStatusChanged' ? newest.runner.status : 'spawned';
      assert.equal(runner(state)?.status, expected);
    }),
  );
});

test('the last failure of a runner stays visible while it comes back', () => {
  const error: RunnerFailure = {
    code: 'runner_failed',
    message: 'Terminated (signal=9 SIGKILL)',
    phase: 'ready',
    stderrTail: [],
    ranForMs: 5,
  };
  const fact = { ...runnerFact('a', 'spawned', 2), error };
  const state = stateAfter(
    instanceCreated('a'),
    { kind: 'RunnerStatusChanged', runner: { ...runnerFact('a', 'failed'), error } },
    { kind: 'RunnerStatusChanged', runner: fact },
    nodeJoined(NODE, 2),
  );
  assert.equal(runner(state)?.status, 'spawned');
  assert.deepEqual(runner(state)?.error, error);
});

test('a node in a new life has no runner and no request of the one before, and no late word of it counts', () => {
  const before = stateAfter(
    instanceCreated('a'),
    reported(1, 7, 'ready'),
    taskAssigned('own', 'a'),
    taskAssigned('other', 'a', OTHER_NODE),
  );
  const after = apply(before, nodeJoined(NODE, 2));
  assert.equal(runner(after)?.status, 'spawned');
  assert.equal(runner(after)?.pid, null);
  assert.equal(taskStatus(after, 'own'), 'failed');
  assert.equal(taskStatus(after, 'other'), 'running');
  assert.equal(runner(apply(after, reported(1, 8, 'ready')))?.status, 'spawned');
  assert.equal(runner(apply(after, reported(2, 1, 'loading')))?.status, 'loading');
});

test('a node that says who it is again keeps its runners and requests; one of an earlier life is not heard', () => {
  const before = stateAfter(
    nodeJoined(NODE, 2),
    instanceCreated('a'),
    reported(2, 1, 'ready'),
    taskAssigned('t', 'a', OTHER_NODE),
  );
  for (const incarnation of [1, 2]) {
    const after = apply(before, nodeJoined(NODE, incarnation));
    assert.deepEqual(after, { ...before, index: before.index + 1 });
  }
});

test('R56: a dead node ends the requests of its clients and takes its instances out, until it is back', () => {
  const before = stateAfter(
    nodeJoined(OTHER_NODE),
    instanceCreated('a'),
    reported(1, 1, 'ready'),
    taskAssigned('its', 'a'),
    taskAssigned('other', 'a', OTHER_NODE),
  );
  const status = (state: ClusterState) => {
    const instance = state.instances.get('a' as InstanceId);
    return instance === undefined ? 'gone' : instanceStatus(state, instance);
  };
  const suspect = apply(before, statusChanged(NODE, 'suspect'));
  assert.equal(status(suspect), 'ready');
  assert.equal(taskStatus(suspect, 'its'), 'running');
  const dead = apply(suspect, statusChanged(NODE, 'dead'));
  assert.equal(status(dead), 'failing');
  assert.equal(taskStatus(dead, 'its'), 'failed');
  assert.equal(taskStatus(dead, 'other'), 'running');
  assert.equal(status(apply(dead, nodeJoined(NODE, 1))), 'ready');
  assert.equal(status(apply(dead, nodeJoined(NODE, 2))), 'starting');
});

test('only a dead node is forgotten, and its instances with it', () => {
  const before = stateAfter(nodeJoined(OTHER_NODE), instanceCreated('a'), instanceCreated('b', [OTHER_NODE]));
  const forgotten: ControlEvent = { kind: 'NodeForgotten', nodeId: NODE };
  assert.equal(apply(before, forgotten).nodes.size, 2);
  const after = apply(apply(before, statusChanged(NODE, 'dead')), forgotten);
  assert.deepEqual([...after.nodes.keys()], [OTHER_NODE]);
  assert.deepEqual([...after.instances.keys()], ['b']);
  assert.deepEqual(after.deletedInstances, ['a']);
});

test('R56, R58: nodes that come once are bounded: for a newcomer the one goes that is dead for longest and hosts nothing', () => {
  const guest = (at: number) => `guest-${at}` as NodeId;
  let state = stateAfter(nodeJoined(guest(0)), instanceCreated('a', [guest(0)]));
  const count = LIMITS.peers + 20;
  for (let at = 0; at < count; at += 1) {
    state = apply(state, nodeJoined(guest(at)));
    state = apply(state, { kind: 'NodeStatusChanged', nodeId: guest(at), status: 'dead', at });
    assert.ok(state.nodes.size <= LIMITS.peers);
  }
  assert.ok(state.nodes.has(NODE), 'it lives');
  assert.ok(state.nodes.has(guest(0)) && state.instances.size === 1, 'it may come back for its instance');
  assert.ok(!state.nodes.has(guest(1)) && state.nodes.has(guest(count - 1)));
  const full = state.nodes.size;
  assert.equal(
    apply(state, nodeJoined(guest(count - 1), 2)).nodes.size,
    full,
    'one that is known takes no place',
  );
});

test('a deleted instance does not come back by a late word, also where it was never known', () => {
  for (const before of [stateAfter(instanceCreated('a')), stateAfter()]) {
    const after = [instanceDeleted('a'), instanceDeleted('a'), instanceCreated('a')].reduce(apply, before);
    assert.equal(after.instances.size, 0);
    assert.deepEqual(after.deletedInstances, ['a']);
  }
});

test('R58: finished tasks and deleted instances are bounded, running tasks are never forgotten', () => {
  let state = stateAfter(instanceCreated('a'), taskAssigned('first', 'a'));
  for (let i = 0; i < LIMITS.finishedTasks + 50; i += 1) {
    state = [taskAssigned(`t${i}`, 'a'), taskFinished(`t${i}`, 'a')].reduce(apply, state);
  }
  assert.equal(state.finishedTasks.length, LIMITS.finishedTasks);
  assert.equal(taskStatus(state, 'first'), 'running');
  assert.equal(taskStatus(state, 't49'), undefined);
  assert.equal(taskStatus(state, 't50'), 'complete');
  for (let i = 0; i < LIMITS.deletedInstances + 1; i += 1) state = apply(state, instanceDeleted(`i${i}`));
  assert.equal(state.deletedInstances.length, LIMITS.deletedInstances);
  assert.equal(state.deletedInstances[0], 'i1');
});

test('a task that ended does not run again', () => {
  const state = stateAfter(
    instanceCreated('a'),
    taskAssigned('t', 'a'),
    taskFinished('t', 'a'),
    taskFinished('t', 'a'),
    taskAssigned('t', 'a'),
  );
  assert.equal(taskStatus(state, 't'), 'complete');
  assert.equal(state.finishedTasks.length, 1);
});

test('the master is whom the log named last, and the term never goes back', () => {
  const elected = (nodeId: NodeId, term: number): ControlEvent => ({ kind: 'MasterElected', nodeId, term });
  const state = stateAfter(elected(NODE, 2), elected(OTHER_NODE, 1));
  assert.equal(state.masterNodeId, OTHER_NODE);
  assert.equal(state.term, 2);
});

test('R33: the reducer is total, counts every event, never changes its input, and leaves nothing dangling', () => {
  fc.assert(
    fc.property(anyHistory, (events) => {
      let state = EMPTY_STATE;
      for (const event of events) {
        const copy = structuredClone(state);
        const after = apply(state, event);
        assert.deepEqual(state, copy);
        assert.equal(after.index, state.index + 1);
        assertWhole(after);
        state = after;
      }
    }),
  );
});

test('an event that comes twice in a row is as good as once', () => {
  fc.assert(
    fc.property(anyHistory, anyEvent, (events, event) => {
      const once = [...events, event].reduce(apply, EMPTY_STATE);
      assert.deepEqual(apply(once, event), { ...once, index: once.index + 1 });
    }),
  );
});

function assertWhole(state: ClusterState): void {
  for (const { instanceId, runnerId } of state.runners.values()) {
    const instance = state.instances.get(instanceId);
    assert.ok(instance?.shards.some((shard) => shard.runnerId === runnerId));
  }
  for (const instanceId of state.deletedInstances) assert.ok(!state.instances.has(instanceId));
  assert.equal(new Set(state.deletedInstances).size, state.deletedInstances.length);
  for (const metaInstanceId of state.deletedMetaInstances) {
    assert.ok(!state.metaInstances.has(metaInstanceId));
    for (const instance of state.instances.values()) assert.notEqual(instance.metaInstanceId, metaInstanceId);
  }
  const models = [...state.metaInstances.values()].map(({ modelId }) => modelId);
  assert.deepEqual(new Set(state.modelShapes.keys()), new Set(models));
  for (const [instanceId, tasks] of state.tasks) {
    assert.ok(state.instances.has(instanceId));
    assert.ok(tasks.size > 0);
    for (const task of tasks.values()) assert.equal(task.instanceId, instanceId);
  }
  for (const task of tasksIn(state)) assert.equal(task.status, taskRecord('', '').status);
  for (const task of state.finishedTasks) assert.notEqual(task.status, 'running');
}
