import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { InstanceId, MetaInstanceId, ModelId, RunnerId, TaskId } from '../../shared/ids.js';
import { apply } from '../apply.js';
import { anyHistory } from '../arbitraries.js';
import { tasksIn } from '../instances.js';
import { type ClusterState, EMPTY_STATE, type RunnerFact, type TaskRecord } from '../state.js';
import {
  instanceCreated,
  instanceDeleted,
  instanceRecord,
  metaInstanceCreated,
  metaInstanceDeleted,
  NODE,
  nodeFact,
  nodeJoined,
  OTHER_NODE,
  runnerFact,
  runnerStatusChanged,
  stateAfter,
  taskAssigned,
  taskFinished,
  taskRecord,
} from '../testing.js';
import { allFacts, eventsFor, factsToReport, isOwnerThere, NO_FACTS, type OwnFacts } from './facts.js';

const NOTHING_OWNED: OwnFacts = {
  node: nodeFact(),
  runners: new Map(),
  openTasks: new Map(),
  endedTasks: new Map(),
};

const anyState = anyHistory.map((events) => events.reduce(apply, EMPTY_STATE));
const ends = ['complete', 'failed', 'cancelled'] as const;

/** A node's own view: runners of its instances, open requests anywhere, and how others ended. */
const anyOwnFacts: fc.Arbitrary<OwnFacts> = fc
  .record({
    incarnation: fc.integer({ min: 1, max: 4 }),
    name: fc.constantFrom(NODE, 'renamed'),
    runners: fc.array(fc.tuple(fc.constantFrom('a', 'c'), fc.constantFrom('loading', 'ready', 'failed'))),
    open: fc.array(fc.tuple(fc.constantFrom('t1', 't2', 'own'), fc.constantFrom('a', 'b', 'c', null))),
    ended: fc.array(fc.tuple(fc.constantFrom('t3', 't4'), fc.constantFrom(...ends))),
  })
  .map(({ incarnation, name, runners, open, ended }) => ({
    node: { ...nodeFact(NODE, incarnation), name },
    runners: new Map(
      runners.map(([instance, status], i): [RunnerId, RunnerFact] => {
        const runnerId = (instance === 'a' ? 'a-0' : 'c-1') as RunnerId;
        return [runnerId, { ...runnerFact(instance, status as 'ready', i + 1), runnerId, incarnation }];
      }),
    ),
    openTasks: new Map(
      open.map(([id, instance]): [TaskId, TaskRecord | null] => {
        const record =
          instance === null ? null : { ...taskRecord(id, instance), apiIncarnation: incarnation };
        return [id as TaskId, record];
      }),
    ),
    endedTasks: new Map(ended.map(([id, status]) => [id as TaskId, status])),
  }));

function told(state: ClusterState, own: OwnFacts): ClusterState {
  const facts = factsToReport(state, own);
  return facts === null ? state : eventsFor(state, facts).reduce(apply, state);
}

test('a report makes the state right, so that there is nothing to report any more', () => {
  fc.assert(
    fc.property(anyState, anyOwnFacts, (state, own) => {
      const facts = factsToReport(state, own);
      const after = told(state, own);
      assert.equal(factsToReport(after, own), null);
      assert.deepEqual(eventsFor(after, facts ?? NO_FACTS), []);
      assertRight(state, after, own);
    }),
  );
});

test('a report never says anything about what other nodes own', () => {
  fc.assert(
    fc.property(anyState, anyOwnFacts, (state, own) => {
      const after = told(state, own);
      for (const [nodeId, node] of state.nodes) {
        if (nodeId !== NODE) assert.equal(after.nodes.get(nodeId), node);
      }
      for (const [runnerId, runner] of state.runners) {
        if (runner.nodeId !== NODE) assert.equal(after.runners.get(runnerId), runner);
      }
      const foreign = (of: ClusterState) => [...tasksIn(of)].filter(({ apiNodeId }) => apiNodeId !== NODE);
      assert.deepEqual(foreign(after), foreign(state));
      assert.deepEqual(after.instances, state.instances);
    }),
  );
});

test('R59: at a joining, the master has what the node owns and what it knows to be deleted; twice is nothing', () => {
  fc.assert(
    fc.property(anyState, anyState, anyOwnFacts, (joiner, master, own) => {
      const facts = allFacts(joiner, own);
      const after = eventsFor(master, facts).reduce(apply, master);
      assert.deepEqual(eventsFor(after, facts), []);
      for (const instanceId of joiner.deletedInstances)
        assert.ok(after.deletedInstances.includes(instanceId));
      for (const instanceId of master.deletedInstances) assert.ok(!after.instances.has(instanceId));
      for (const { instanceId, metaInstanceId, shards } of joiner.instances.values()) {
        if (!shards.some(({ nodeId }) => nodeId === NODE)) continue;
        if (metaInstanceId !== null && after.deletedMetaInstances.includes(metaInstanceId)) continue;
        assert.ok(after.instances.has(instanceId) || master.deletedInstances.includes(instanceId));
      }
      const takenBack = new Set([...joiner.deletedMetaInstances, ...master.deletedMetaInstances]);
      const wanted = new Set([...joiner.metaInstances.keys(), ...master.metaInstances.keys()]);
      assert.deepEqual(
        [...after.metaInstances.keys()].sort(),
        [...wanted].filter((id) => !takenBack.has(id)).sort(),
      );
      assert.deepEqual(new Set(after.deletedMetaInstances), takenBack);
      for (const { metaInstanceId } of after.instances.values())
        assert.ok(metaInstanceId === null || !takenBack.has(metaInstanceId));
      for (const task of own.openTasks.values()) {
        if (task === null || !after.instances.has(task.instanceId) || !isOwnerThere(after, task)) continue;
        const isEnded = after.finishedTasks.some(({ taskId }) => taskId === task.taskId);
        assert.ok(isEnded || after.tasks.get(task.instanceId)?.has(task.taskId));
      }
    }),
  );
});

test('R59: an instance of the other side of a partition comes with its runner as it is, and its request', () => {
  const joiner = stateAfter(instanceCreated('a'), runnerStatusChanged('a', 'ready'), taskAssigned('t', 'a'));
  const own: OwnFacts = {
    ...NOTHING_OWNED,
    runners: new Map([['a-0' as RunnerId, runnerFact('a', 'ready')]]),
    openTasks: new Map([['t' as TaskId, taskRecord('t', 'a')]]),
  };
  const master = [nodeJoined(OTHER_NODE), instanceCreated('b', [OTHER_NODE])].reduce(apply, EMPTY_STATE);
  const after = eventsFor(master, allFacts(joiner, own)).reduce(apply, master);
  assert.deepEqual([...after.instances.keys()], ['b', 'a']);
  assert.equal(after.runners.get('a-0' as RunnerId)?.status, 'ready');
  assert.equal(after.tasks.get('a' as InstanceId)?.size, 1);
  assert.equal(factsToReport(after, own), null);
});

test('R59: a deletion on one side wins, also over a node that was away from both', () => {
  const joiner = stateAfter(instanceCreated('a', [OTHER_NODE]), instanceDeleted('a'));
  const master = eventsFor(stateAfter(), allFacts(joiner, NOTHING_OWNED)).reduce(apply, stateAfter());
  const away: OwnFacts = { ...NOTHING_OWNED, node: nodeFact(OTHER_NODE) };
  const facts = allFacts(stateAfter(instanceCreated('a', [OTHER_NODE])), away);
  assert.deepEqual(
    facts.instances.map(({ instanceId }) => instanceId),
    ['a'],
  );
  assert.equal(eventsFor(master, facts).reduce(apply, master).instances.size, 0);
});

test('R14: a request that its own node does not know of any more ends, as it ended, or as failed', () => {
  const state = stateAfter(instanceCreated('a'), taskAssigned('lost', 'a'), taskAssigned('done', 'a'));
  const own = { ...NOTHING_OWNED, endedTasks: new Map([['done' as TaskId, 'complete' as const]]) };
  const { finishedTasks, tasks } = told(state, own);
  assert.deepEqual(
    finishedTasks.map(({ taskId, status }) => [taskId, status]),
    [
      ['lost', 'failed'],
      ['done', 'complete'],
    ],
  );
  assert.equal(tasks.size, 0);
});

test('a request that is not placed yet is not taken for lost', () => {
  const state = stateAfter(instanceCreated('a'), taskAssigned('t', 'a'));
  const own = { ...NOTHING_OWNED, openTasks: new Map([['t' as TaskId, null]]) };
  assert.equal(factsToReport(state, own), null);
});

test('what was decided while the node was away is not undone by its report', () => {
  const state = stateAfter(instanceCreated('a'), taskAssigned('t', 'a'), taskFinished('t', 'a'));
  const own = { ...NOTHING_OWNED, openTasks: new Map([['t' as TaskId, taskRecord('t', 'a')]]) };
  assert.equal(factsToReport(state, own), null);
  const gone = stateAfter(instanceDeleted('a'));
  const instances = [instanceRecord('a')];
  assert.deepEqual(eventsFor(gone, { ...NO_FACTS, instances, runners: [runnerFact('a', 'ready')] }), []);
});

test('a node that the state has as dead says that it is there; one of an earlier life is not heard', () => {
  const dead = apply(stateAfter(), { kind: 'NodeStatusChanged', nodeId: NODE, status: 'dead', at: 0 });
  assert.equal(told(dead, NOTHING_OWNED).nodes.get(NODE)?.status, 'alive');
  const later = stateAfter(nodeJoined(NODE, 2));
  assert.equal(factsToReport(later, NOTHING_OWNED), null);
  assert.deepEqual(eventsFor(later, { ...NO_FACTS, node: nodeFact() }), []);
});

test('a runner of a later life is news, however few reports that has seen', () => {
  const state = stateAfter(instanceCreated('a'), runnerStatusChanged('a', 'ready', 9));
  const runner = { ...runnerFact('a', 'loading', 1), incarnation: 2 };
  const events = eventsFor(state, { ...NO_FACTS, runners: [runner] });
  assert.deepEqual(events, [{ kind: 'RunnerStatusChanged', runner }]);
});

test('whatever changes in what a node says of itself is told', () => {
  const { node } = NOTHING_OWNED;
  assert.equal(factsToReport(stateAfter(), NOTHING_OWNED), null);
  for (const changed of [
    { ...node, name: 'renamed' },
    { ...node, memoryBytes: 1 },
    { ...node, addresses: ['127.0.0.1:1'] },
    { ...node, addresses: [] },
    { ...node, isDraining: true },
    { ...node, models: [] },
    { ...node, models: ['another' as ModelId] },
    { ...node, incarnation: 2 },
  ]) {
    const after = told(stateAfter(), { ...NOTHING_OWNED, node: changed });
    assert.deepEqual(after.nodes.get(NODE), { ...changed, status: 'alive', statusSince: 0 });
  }
});

function assertRight(before: ClusterState, after: ClusterState, own: OwnFacts): void {
  const node = after.nodes.get(NODE);
  assert.ok(node !== undefined && node.incarnation >= own.node.incarnation);
  if (node.incarnation === own.node.incarnation) assert.equal(node.name, own.node.name);
  for (const [runnerId, fact] of own.runners) {
    const known = before.runners.get(runnerId);
    if (known === undefined) continue;
    const { incarnation, sequence } = known;
    const isLater =
      fact.incarnation > incarnation || (fact.incarnation === incarnation && fact.sequence > sequence);
    assert.equal(after.runners.get(runnerId)?.status, isLater ? fact.status : known.status);
  }
  for (const task of tasksIn(after)) if (task.apiNodeId === NODE) assert.ok(own.openTasks.has(task.taskId));
}

test('R59: wishes of both sides are kept, and what one side took back is taken back on both', () => {
  const told = (joiner: ClusterState, master: ClusterState) =>
    eventsFor(master, allFacts(joiner, NOTHING_OWNED)).reduce(apply, master);
  const one = stateAfter(metaInstanceCreated('m'), metaInstanceCreated('both', { minNodes: 2 }));
  const other = stateAfter(metaInstanceCreated('n'), metaInstanceCreated('both'), metaInstanceDeleted('m'));
  for (const after of [told(one, other), told(other, one)]) {
    assert.deepEqual([...after.metaInstances.keys()].sort(), ['both', 'n']);
    assert.deepEqual(after.deletedMetaInstances, ['m']);
  }
});

test('R59: an instance comes with its wish, and not without it when that was taken back', () => {
  const instance = { ...instanceRecord('x'), metaInstanceId: 'm' as MetaInstanceId };
  const joiner = stateAfter(metaInstanceCreated('m'), { kind: 'InstanceCreated', instance });
  const facts = allFacts(joiner, NOTHING_OWNED);
  const after = eventsFor(stateAfter(), facts).reduce(apply, stateAfter());
  assert.equal(after.metaInstances.get('m' as MetaInstanceId)?.placements, 1);
  assert.deepEqual([...after.instances.keys()], ['x']);
  assert.deepEqual(eventsFor(stateAfter(metaInstanceDeleted('m')), facts), []);
});
