/** The page's reducer against the node's own, and what it does with what it does not know. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { apply } from '../../src/control/apply.js';
import { anyHistory } from '../../src/control/arbitraries.js';
import type { ControlEvent } from '../../src/control/events.js';
import { type ClusterState, EMPTY_STATE } from '../../src/control/state.js';
import { viewEvent, viewState } from '../../src/control/view.js';
import type { NodeId } from '../../src/shared/ids.js';
import { reduce } from './reduce.js';
import { type PageState, readMessage, readState, type WireEvent } from './wire.js';

const TELEMETRY = { nodes: new Map(), runners: new Map(), links: [] };

function view(state: ClusterState): PageState {
  const page = readState(JSON.parse(JSON.stringify(viewState(state, TELEMETRY, 'node-a' as NodeId))));
  assert.ok(page !== null);
  return page;
}

function comparable({ deleted_instances: _own, ...state }: PageState): unknown {
  return state;
}

/** A task belongs to one instance for all its life; drawn histories do not know that. */
function belongs(event: ControlEvent, owners: Map<string, string>): boolean {
  if (event.kind !== 'TaskAssigned') return true;
  const { taskId, instanceId } = event.task;
  const owner = owners.get(taskId) ?? instanceId;
  owners.set(taskId, owner);
  return owner === instanceId;
}

/** What these change is not in their JSON: the page asks for the whole state, which they are rare enough for. */
const NEEDS_ALL: ReadonlySet<ControlEvent['kind']> = new Set([
  'NodeJoined',
  'InstanceFailed',
  'InstanceRetrying',
  'MetaInstanceCreated',
  'MetaInstanceDeleted',
  'MetaInstanceRetried',
  'PlacementRefused',
  'MetaInstanceFailed',
  'MetaInstanceServed',
  'MetaInstanceSurplus',
  'MetaInstanceRecovered',
]);

function needsAll(event: ControlEvent): boolean {
  const isForAWish = event.kind === 'InstanceCreated' && event.instance.metaInstanceId !== null;
  return isForAWish || NEEDS_ALL.has(event.kind);
}

test('R74: the page shows after every event what the state of the node shows', () => {
  fc.assert(
    fc.property(anyHistory, (history) => {
      const owners = new Map<string, string>();
      let state = EMPTY_STATE;
      let page = view(state);
      let known = 0;
      for (const event of history.filter((one) => belongs(one, owners))) {
        state = apply(state, event);
        const wire = JSON.parse(JSON.stringify(viewEvent(event))) as WireEvent;
        const next = reduce(page, wire, state.index);
        if (next !== null) known += 1;
        else if (Object.keys(page.meta_instances).length === 0)
          assert.ok(needsAll(event), `${event.kind} is rare enough to need the whole state`);
        page = next ?? { ...view(state), deleted_instances: page.deleted_instances ?? [] };
        assert.deepEqual(comparable(page), comparable(view(state)));
      }
      fc.pre(history.length === 0 || known > 0);
    }),
    { numRuns: 300 },
  );
});

test('an event that the page does not know asks for the whole state', () => {
  assert.equal(reduce(view(EMPTY_STATE), { kind: 'SomethingOfLater' }, 1), null);
  for (const kind of ['NodeJoined', 'InstanceCreated', 'RunnerStatusChanged', 'TaskAssigned', 'toString']) {
    assert.equal(reduce(view(EMPTY_STATE), { kind, node: 7, instance: null, runner: [] }, 1), null, kind);
  }
});

test('what an event does not touch stays the same object', () => {
  const joined = reduce(
    view(EMPTY_STATE),
    { kind: 'NodeJoined', node: { node_id: 'n', name: 'n', incarnation: 1, addresses: [] } },
    1,
  );
  assert.ok(joined !== null);
  const elected = reduce(joined, { kind: 'MasterElected', node_id: 'n', term: 2 }, 2);
  assert.equal(elected?.nodes, joined.nodes);
  assert.equal(elected?.instances, joined.instances);
  assert.equal(elected?.index, 2);
});

test('messages that are none are told from those that are', () => {
  for (const text of ['', '{', 'null', '[]', '{"index":"1"}', '{"index":1}', '{"index":1,"event":{}}'])
    assert.equal(readMessage(text), null, text);
  assert.deepEqual(readMessage('{"index":3,"event":{"kind":"A"}}'), { index: 3, event: { kind: 'A' } });
  const whole = readMessage('{"index":3,"state":{"index":3}}');
  assert.ok(whole !== null && 'state' in whole);
  assert.deepEqual(whole.state.meta_instances, {});
});
