import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { CommandId, InstanceId, MetaInstanceId, ModelId, NodeId, TaskId } from '../../shared/ids.js';
import { LIMITS } from '../../shared/limits.js';
import { apply } from '../apply.js';
import { anyHistory, anyNodeId } from '../arbitraries.js';
import type { ControlEvent } from '../events.js';
import { runningTasks } from '../instances.js';
import { NOTHING_MEASURED } from '../measurements.js';
import { type ClusterState, EMPTY_STATE, type InstanceRecord, type MetaInstanceWish } from '../state.js';
import {
  instanceCreated,
  instanceDeleted,
  instanceRecord,
  MODEL,
  metaInstanceCreated,
  metaInstanceDeleted,
  metaInstanceWish,
  modelShape,
  NODE,
  nodeFact,
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
  avoid: null,
});
const create = (id: string): ClusterCommand => ({ kind: 'CreateInstance', instance: instanceRecord(id) });
const remove = (id: string): ClusterCommand => ({ kind: 'DeleteInstance', instanceId: id as InstanceId });
const wishFor = (id: string, more: Partial<MetaInstanceWish> = {}, layerBytes?: number): ClusterCommand => ({
  kind: 'CreateMetaInstance',
  metaInstance: metaInstanceWish(id, more),
  shape: modelShape(more.modelId, layerBytes),
});
const takeBack = (id: string): ClusterCommand => ({
  kind: 'DeleteMetaInstance',
  metaInstanceId: id as MetaInstanceId,
});
const retry = (id: string): ClusterCommand => ({
  kind: 'RetryMetaInstance',
  metaInstanceId: id as MetaInstanceId,
});
const forget = (nodeId: NodeId): ClusterCommand => ({ kind: 'ForgetNode', nodeId });

function carryOut(state: ClusterState, command: ClusterCommand, now = 0) {
  const decision = decide(state, command, { now, ...NOTHING_MEASURED, lostLinks: [] });
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
  fc.constantFrom('m', 'w', 'new').map((id) => wishFor(id)),
  fc.constantFrom('m', 'w', 'new').map(takeBack),
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
        case 'CreateMetaInstance':
          return assert.ok(after.metaInstances.has(command.metaInstance.metaInstanceId));
        case 'DeleteMetaInstance':
          return assert.ok(!after.metaInstances.has(command.metaInstanceId));
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
  assert.ok(
    [create('a'), remove('a'), forget(NODE), wishFor('m'), takeBack('m'), retry('m')].every(isDurable),
  );
  assert.equal(isDurable(assign('t')), false);
});

test('R34: what can never fit is refused with the reasons of each node; nothing is left of it', () => {
  const impossible: ClusterCommand[] = [
    wishFor('m', {}, 10e9),
    wishFor('m', { minNodes: 2 }),
    wishFor('m', { nodeIds: ['nobody' as NodeId] }),
    wishFor('m', { sharding: 'Tensor', minNodes: 2 }),
  ];
  for (const command of impossible) {
    const { decision, after } = carryOut(stateAfter(), command);
    assert.ok('fault' in decision);
    assert.equal(decision.fault.code, 'placement_impossible');
    assert.ok(decision.fault.message.length > 0);
    assert.ok(Array.isArray(decision.fault.details?.nodes));
    assert.equal(after.metaInstances.size, 0);
  }
});

test('R34: what may fit later is taken: the node is lost, full, stopping, or has no files yet', () => {
  const situations: ControlEvent[] = [
    { kind: 'NodeStatusChanged', nodeId: NODE, status: 'dead', at: 0 },
    { kind: 'InstanceCreated', instance: fullOf('a') },
    { kind: 'NodeJoined', node: { ...nodeFact(), isDraining: true } },
    { kind: 'NodeJoined', node: { ...nodeFact(), models: ['another' as ModelId] } },
  ];
  for (const situation of situations) {
    const { after } = carryOut(stateAfter(situation), wishFor('m'), 7);
    assert.equal(after.metaInstances.get('m' as MetaInstanceId)?.createdAt, 7);
    assert.equal(after.modelShapes.get(MODEL)?.layers, 8);
  }
});

test('R20: the wishes of a cluster are bounded; what is there already may be said again', () => {
  const ids = Array.from({ length: LIMITS.metaInstances }, (_, at) => `m${at}`);
  const full = stateAfter(...ids.map((id) => metaInstanceCreated(id)));
  assert.equal(faultOf(full, wishFor('one-more')), 'queue_full');
  assert.equal(faultOf(full, wishFor('m0')), null);
  assert.equal(faultOf(apply(full, metaInstanceDeleted('m0')), wishFor('one-more')), null);
});

test('R30: a wish is taken back once, is not found when it never was, and does not come back', () => {
  const state = stateAfter(metaInstanceCreated('m'));
  assert.equal(faultOf(state, takeBack('m')), null);
  const { after } = carryOut(state, takeBack('m'));
  assert.equal(faultOf(after, takeBack('m')), null);
  assert.equal(faultOf(after, wishFor('m')), 'invalid_request');
  assert.equal(faultOf(after, retry('m')), 'not_found');
  assert.equal(faultOf(after, takeBack('n')), 'not_found');
  assert.equal(faultOf(stateAfter(metaInstanceDeleted('n')), takeBack('n')), null);
});

test('R20: an id that was given to a wish or an instance is not given to another one', () => {
  const wished = stateAfter(metaInstanceCreated('m'));
  assert.deepEqual(carryOut(wished, wishFor('m')).after, wished, 'the same again changes nothing');
  for (const other of [
    { minNodes: 2 },
    { nodeIds: [NODE] },
    { modelId: 'other' as ModelId },
    { sequences: 3 },
  ]) {
    assert.equal(faultOf(wished, wishFor('m', other)), 'idempotency_key_reused');
  }
  const placed = stateAfter(instanceCreated('a'));
  assert.equal(faultOf(placed, create('a')), null);
  const instance = { ...instanceRecord('a'), modelId: 'other' as ModelId };
  assert.equal(faultOf(placed, { kind: 'CreateInstance', instance }), 'idempotency_key_reused');
});

test('R28: another try forgets what failed and keeps the wish', () => {
  const metaInstanceId = 'm' as MetaInstanceId;
  const state = stateAfter(metaInstanceCreated('m'), { kind: 'MetaInstanceFailed', metaInstanceId });
  const { after } = carryOut(state, retry('m'));
  assert.equal(after.metaInstances.get(metaInstanceId)?.hasFailed, false);
  assert.deepEqual(carryOut(after, retry('m')).after, { ...after, index: after.index + 1 });
});

test('R31: an instance that was placed on an older state is refused where it does not fit any more', () => {
  const full = stateAfter({ kind: 'InstanceCreated', instance: fullOf('a') });
  const { decision } = carryOut(full, create('b'));
  assert.ok('fault' in decision);
  assert.equal(decision.fault.code, 'placement_impossible');
  assert.match(decision.fault.message, /^Node node-a offers .* would be taken\.$/);
  const elsewhere: ClusterCommand = { kind: 'CreateInstance', instance: instanceRecord('b', [OTHER_NODE]) };
  assert.equal(faultOf(full, elsewhere), 'placement_impossible');
  assert.equal(faultOf(apply(full, nodeJoined(OTHER_NODE)), elsewhere), null);
  assert.equal(faultOf(apply(full, instanceDeleted('a')), create('b')), null);
  // The same one again is not counted twice.
  assert.equal(faultOf(full, { kind: 'CreateInstance', instance: fullOf('a') }), null);
});

function fullOf(id: string): InstanceRecord {
  const instance = instanceRecord(id);
  return { ...instance, shards: instance.shards.map((shard) => ({ ...shard, memoryBytes: 1_000_000_000 })) };
}
