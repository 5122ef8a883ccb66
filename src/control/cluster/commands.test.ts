import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { CommandId, InstanceId, NodeId, TaskId } from '../../shared/ids.js';
import { apply } from '../apply.js';
import { anyHistory, anyNodeId } from '../arbitraries.js';
import type { ControlEvent } from '../events.js';
import { runningTasks } from '../instances.js';
import { type ClusterState, EMPTY_STATE } from '../state.js';
import {
  instanceCreated,
  instanceDeleted,
  instanceRecord,
  MODEL,
  NODE,
  nodeJoined,
  OTHER_NODE,
  stateAfter,
  taskFinished,
} from '../testing.js';
import { type AssignTask, type ClusterCommand, decide, isDurable } from './commands.js';

const assign = (id: string, apiNodeId: NodeId = NODE, unreachable: readonly NodeId[] = []): AssignTask => ({
  kind: 'AssignTask',
  taskId: id as TaskId,
  commandId: `command-${id}` as CommandId,
  modelId: MODEL,
  apiNodeId,
  apiIncarnation: 1,
  unreachable,
});
const create = (id: string): ClusterCommand => ({ kind: 'CreateInstance', instance: instanceRecord(id) });
const remove = (id: string): ClusterCommand => ({ kind: 'DeleteInstance', instanceId: id as InstanceId });
const forget = (nodeId: NodeId): ClusterCommand => ({ kind: 'ForgetNode', nodeId });

function carryOut(state: ClusterState, command: ClusterCommand, now = 0) {
  const decision = decide(state, command, { now, links: [] });
  const after = 'fault' in decision ? state : decision.events.reduce(apply, state);
  return { decision, after };
}

function faultOf(state: ClusterState, command: ClusterCommand): string | null {
  const { decision } = carryOut(state, command);
  return 'fault' in decision ? decision.fault.code : null;
}

const anyCommand: fc.Arbitrary<ClusterCommand> = fc.oneof(
  fc
    .tuple(fc.constantFrom('t1', 't2', 'new'), anyNodeId, fc.subarray([NODE, OTHER_NODE] as NodeId[]))
    .map(([id, apiNodeId, unreachable]) => assign(id, apiNodeId, unreachable)),
  fc.constantFrom('a', 'b', 'c', 'new').map(create),
  fc.constantFrom('a', 'b', 'c', 'new').map(remove),
  anyNodeId.map(forget),
);

test('R1: a command that comes twice has one effect and one answer', () => {
  fc.assert(
    fc.property(anyHistory, anyCommand, fc.nat(), (history, command, later) => {
      const once = carryOut(history.reduce(apply, EMPTY_STATE), command);
      const twice = carryOut(once.after, command, later);
      assert.equal(twice.after, once.after);
      if ('fault' in once.decision) return assert.ok('fault' in twice.decision);
      assert.ok('answer' in twice.decision);
      assert.deepEqual(twice.decision.answer, once.decision.answer);
    }),
  );
});

test('a command never harms the state, and what it wants is then so', () => {
  fc.assert(
    fc.property(anyHistory, anyCommand, (history, command) => {
      const before = history.reduce(apply, EMPTY_STATE);
      const { decision, after } = carryOut(before, command);
      if ('fault' in decision) return;
      switch (command.kind) {
        case 'CreateInstance':
          return assert.ok(after.instances.has(command.instance.instanceId));
        case 'DeleteInstance':
          return assert.ok(!after.instances.has(command.instanceId));
        case 'ForgetNode':
          return assert.ok(!after.nodes.has(command.nodeId));
        case 'AssignTask': {
          assert.ok(decision.answer.kind === 'Assignment');
          const { instanceId, nodeId, runnerId } = decision.answer;
          const first = after.instances.get(instanceId)?.shards[0];
          assert.deepEqual([first?.nodeId, first?.runnerId], [nodeId, runnerId]);
        }
      }
    }),
  );
});

test('R14: an assignment counts at once and once, and no longer than its request, its instance and its client', () => {
  const { after } = carryOut(stateAfter(instanceCreated('a')), assign('t'));
  const count = (state: ClusterState) => runningTasks(state, 'a' as InstanceId);
  assert.equal(count(after), 1);
  assert.equal(count(carryOut(after, assign('t')).after), 1);
  const ends: ControlEvent[] = [
    taskFinished('t', 'a'),
    { kind: 'TaskFinished', taskId: 't' as TaskId, instanceId: 'a' as InstanceId, status: 'cancelled' },
    instanceDeleted('a'),
    { kind: 'NodeStatusChanged', nodeId: NODE, status: 'dead', at: 0 },
    nodeJoined(NODE, 2),
  ];
  for (const end of ends) assert.equal(apply(after, end).tasks.size, 0);
});

test('R14: a command that comes again after its request has ended takes no place', () => {
  const { after } = carryOut(stateAfter(instanceCreated('a')), assign('t'));
  const ended = apply(after, taskFinished('t', 'a'));
  const again = carryOut(ended, assign('t'));
  assert.equal(again.after, ended);
  assert.ok('answer' in again.decision);
});

test('R15: requests that reach different nodes split evenly', () => {
  let state = stateAfter(nodeJoined(OTHER_NODE), instanceCreated('a'), instanceCreated('b', [OTHER_NODE]));
  for (let i = 0; i < 4; i += 1) state = carryOut(state, assign(`t${i}`, i % 2 ? NODE : OTHER_NODE)).after;
  assert.equal(runningTasks(state, 'a' as InstanceId), 2);
  assert.equal(runningTasks(state, 'b' as InstanceId), 2);
});

test('R4: a request that cannot be placed is refused with a code and leaves nothing', () => {
  assert.equal(faultOf(stateAfter(), assign('t')), 'no_instance');
  assert.equal(faultOf(stateAfter(instanceCreated('a')), assign('t', OTHER_NODE, [NODE])), 'node_lost');
});

test('a request whose instance was deleted after it was assigned is told so', () => {
  const { after } = carryOut(stateAfter(instanceCreated('a')), assign('t'));
  assert.equal(faultOf(apply(after, instanceDeleted('a')), assign('t')), 'node_lost');
});

test('what was deleted is deleted again, is not created again, and what never was is not found', () => {
  const state = stateAfter(instanceDeleted('a'));
  assert.equal(faultOf(state, remove('a')), null);
  assert.equal(faultOf(state, create('a')), 'invalid_request');
  assert.equal(faultOf(state, remove('b')), 'not_found');
});

test('only a dead node is forgotten', () => {
  const dead = stateAfter({ kind: 'NodeStatusChanged', nodeId: NODE, status: 'dead', at: 0 });
  assert.equal(faultOf(stateAfter(), forget(NODE)), 'invalid_request');
  assert.equal(carryOut(dead, forget(NODE)).after.nodes.size, 0);
  assert.equal(faultOf(stateAfter(), forget(OTHER_NODE)), null);
});

test('what people ask for waits until it is safe; a request of a client does not', () => {
  assert.ok([create('a'), remove('a'), forget(NODE)].every(isDurable));
  assert.equal(isDurable(assign('t')), false);
});
