/** The page's copy of the cluster against the node's own state, and what it does with what it does not know. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { apply } from '../../src/control/apply.js';
import { anyHistory } from '../../src/control/arbitraries.js';
import type { ControlEvent } from '../../src/control/events.js';
import { type ClusterState, EMPTY_STATE } from '../../src/control/state.js';
import { viewEvent, viewState } from '../../src/control/view.js';
import type { NodeId } from '../../src/shared/ids.js';
import { measured, type Replica, ReplicaView, readReplica, told } from './replica.js';
import { type PageState, readMessage, readState, type WireEvent } from './wire.js';

const TELEMETRY = { nodes: new Map(), runners: new Map(), links: [] };

function view(state: ClusterState): PageState {
  const page = readState(JSON.parse(JSON.stringify(viewState(state, TELEMETRY, 'node-a' as NodeId))));
  assert.ok(page !== null);
  return page;
}

const wire = (event: ControlEvent) => JSON.parse(JSON.stringify(viewEvent(event))) as WireEvent;

/** A task belongs to one instance for all its life; drawn histories do not know that. */
function belongs(event: ControlEvent, owners: Map<string, string>): boolean {
  if (event.kind !== 'TaskAssigned') return true;
  const { taskId, instanceId } = event.task;
  const owner = owners.get(taskId) ?? instanceId;
  owners.set(taskId, owner);
  return owner === instanceId;
}

/** A master brings nothing back that was deleted, and a page is not told what was before it came. */
function bringsBack(state: ClusterState, event: ControlEvent): boolean {
  if (event.kind === 'MetaInstanceCreated')
    return state.deletedMetaInstances.includes(event.metaInstance.metaInstanceId);
  if (event.kind !== 'InstanceCreated') return false;
  const { instanceId, metaInstanceId } = event.instance;
  return (
    state.deletedInstances.includes(instanceId) ||
    (metaInstanceId !== null && state.deletedMetaInstances.includes(metaInstanceId))
  );
}

test('R74: the page shows after every event what the state of the node shows, whenever it came', () => {
  fc.assert(
    fc.property(anyHistory, fc.nat(40), (history, comesAt) => {
      const owners = new Map<string, string>();
      const shown = new ReplicaView();
      let state = EMPTY_STATE;
      let replica: Replica | null = null;
      for (const event of history.filter((one) => belongs(one, owners))) {
        if (comesAt > 0 && bringsBack(state, event)) continue;
        if (state.index === comesAt) replica = readReplica(view(state));
        state = apply(state, event);
        if (replica === null) continue;
        replica = told(replica, wire(event));
        assert.ok(replica !== null, `${event.kind} is known`);
        assert.deepEqual(shown.show(replica), view(state));
      }
    }),
    { numRuns: 300 },
  );
});

const EMPTY = readReplica(view(EMPTY_STATE));
const joined = { kind: 'NodeJoined', node: { node_id: 'n', name: 'n', incarnation: 1, addresses: [] } };

test('an event that the page does not know, or that lacks something, asks for the whole state', () => {
  assert.equal(told(EMPTY, { kind: 'SomethingOfLater' }), null);
  for (const kind of ['NodeJoined', 'InstanceCreated', 'RunnerStatusChanged', 'TaskAssigned', 'toString']) {
    assert.equal(told(EMPTY, { kind, node: 7, instance: null, runner: [] }), null, kind);
  }
});

test('what an event does not touch stays the same object on the page', () => {
  const shown = new ReplicaView();
  const one = told(EMPTY, joined);
  assert.ok(one !== null);
  const other = told(one, { kind: 'MasterElected', node_id: 'n', term: 2 });
  assert.ok(other !== null);
  const [before, after] = [shown.show(one), shown.show(other)];
  assert.equal(after.nodes, before.nodes);
  assert.equal(after.instances, before.instances);
  assert.equal(after.index, 2);
});

test('measured values change nothing that is decided, and those that are as they were change nothing', () => {
  const shown = new ReplicaView();
  const one = told(EMPTY, joined) as Replica;
  const told_ = { status: 'dead', incarnation: 9, memory: { total_bytes: 4, available_bytes: 1 } };
  const heard = measured(one, { n: told_ as never }, {}, []);
  const page = shown.show(heard);
  assert.deepEqual([page.nodes.n?.status, page.nodes.n?.incarnation], ['alive', 1]);
  assert.deepEqual(page.nodes.n?.memory, { total_bytes: 4, available_bytes: 1 });
  assert.equal(shown.show(measured(heard, { n: { ...told_ } as never }, {}, [])).nodes, page.nodes);
});

test('a state of another version, with holes in it, is shown as far as it goes', () => {
  const page = readState({
    index: 4,
    nodes: { n: { node_id: 'n', status: 'alive' } },
    instances: { i: { instance_id: 'i', model_id: 'm' } },
    runners: { r: { runner_id: 'r', instance_id: 'i', status: 'running' } },
    meta_instances: { w: { meta_instance_id: 'w', model_id: 'm', placement_error: {}, created_at: 'never' } },
    tasks: { t: { task_id: 't', instance_id: 'i', status: 'running' } },
  });
  assert.ok(page !== null);
  const shown = new ReplicaView().show(readReplica(page));
  assert.equal(shown.index, 4);
  assert.deepEqual(shown.instances.i?.shards, []);
  assert.equal(shown.runners.r?.status, 'running');
  assert.equal(shown.meta_instances.w?.status, 'pending');
});

test('messages that are none are told from those that are', () => {
  for (const text of ['', '{', 'null', '[]', '{"index":"1"}', '{"index":1}', '{"index":1,"event":{}}'])
    assert.equal(readMessage(text), null, text);
  assert.deepEqual(readMessage('{"index":3,"event":{"kind":"A"}}'), { index: 3, event: { kind: 'A' } });
  const whole = readMessage('{"index":3,"state":{"index":3}}');
  assert.ok(whole !== null && 'state' in whole);
  assert.deepEqual(whole.state.meta_instances, {});
});
