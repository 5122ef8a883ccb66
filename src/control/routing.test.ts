import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ModelId, NodeId } from '../shared/ids.js';
import { LIMITS } from '../shared/limits.js';
import { apply } from './apply.js';
import type { ControlEvent } from './events.js';
import { runningTasks } from './instances.js';
import { chooseInstance } from './routing.js';
import type { ClusterState, NodeStatus } from './state.js';
import {
  instanceCreated,
  MODEL,
  NODE,
  nodeFact,
  nodeJoined,
  OTHER_NODE,
  runnerFact,
  runnerStatusChanged,
  stateAfter,
  taskAssigned,
} from './testing.js';

const becomes = (nodeId: NodeId, status: NodeStatus): ControlEvent => ({
  kind: 'NodeStatusChanged',
  nodeId,
  status,
  at: 0,
});

function choose(state: ClusterState, unreachable: readonly NodeId[] = [], now = 0) {
  return chooseInstance(state, { modelId: MODEL, unreachable: new Set(unreachable) }, now);
}

function chosen(state: ClusterState, unreachable: readonly NodeId[] = []): string {
  const choice = choose(state, unreachable);
  return 'instance' in choice ? choice.instance.instanceId : choice.fault.code;
}

test('R4: no instance of the model is a coded error', () => {
  assert.equal(chosen(stateAfter()), 'no_instance');
  const wish = { modelId: 'other' as ModelId, unreachable: new Set<NodeId>() };
  const choice = chooseInstance(stateAfter(instanceCreated('a')), wish, 0);
  assert.equal('fault' in choice && choice.fault.code, 'no_instance');
});

test('R2: an instance whose runner has not reported yet, or still loads, takes requests', () => {
  assert.equal(chosen(stateAfter(instanceCreated('a'))), 'a');
  assert.equal(chosen(stateAfter(instanceCreated('a'), runnerStatusChanged('a', 'loading'))), 'a');
});

test('R2: an instance with any failed or stopping runner takes none', () => {
  for (const status of ['failed', 'stopping', 'stopped'] as const) {
    const state = stateAfter(
      nodeJoined(OTHER_NODE),
      instanceCreated('a', [NODE, OTHER_NODE]),
      runnerStatusChanged('a', status),
    );
    assert.equal(chosen(state), 'all_instances_failed');
  }
});

test('R3: a dead instance with no task never wins against a busy healthy one', () => {
  const state = stateAfter(
    instanceCreated('a'),
    instanceCreated('b'),
    runnerStatusChanged('a', 'failed'),
    taskAssigned('1', 'b'),
    taskAssigned('2', 'b'),
  );
  assert.equal(chosen(state), 'b');
});

test('R3: so does one whose node is dead or not known', () => {
  const events = [nodeJoined(OTHER_NODE), instanceCreated('a', [OTHER_NODE]), instanceCreated('b')];
  const busy = [taskAssigned('1', 'b'), becomes(OTHER_NODE, 'dead')];
  assert.equal(chosen(stateAfter(...events, ...busy)), 'b');
  assert.equal(chosen(stateAfter(...events.slice(1), taskAssigned('1', 'b'))), 'b');
  assert.equal(chosen(stateAfter(...events, ...busy, becomes(NODE, 'dead'))), 'all_instances_failed');
});

test('R4: when all have failed, the error says why and when it is worth another try', () => {
  const failed: ControlEvent = {
    kind: 'RunnerStatusChanged',
    runner: {
      ...runnerFact('a', 'failed'),
      restartAt: 3_000,
      error: {
        code: 'runner_failed',
        message: 'Terminated (signal=6 SIGABRT)',
        phase: 'ready',
        stderrTail: [],
        ranForMs: 1,
      },
    },
  };
  const choice = choose(stateAfter(instanceCreated('a'), failed), [], 1_000);
  assert.ok('fault' in choice);
  assert.equal(choice.fault.code, 'all_instances_failed');
  assert.match(choice.fault.message, /SIGABRT/);
  assert.equal(choice.fault.retryAfterMs, 3_000);
});

test('R4: when the node of the only instance is dead, the error says so', () => {
  const choice = choose(stateAfter(instanceCreated('a'), becomes(NODE, 'dead')));
  assert.ok('fault' in choice);
  assert.match(choice.fault.message, /node that runs it is gone/);
});

test('R16: past the bound of every instance the answer is queue_full', () => {
  const events: ControlEvent[] = [instanceCreated('a')];
  for (let i = 0; i < LIMITS.instanceQueueRequests; i += 1) events.push(taskAssigned(`t${i}`, 'a'));
  assert.equal(chosen(stateAfter(...events)), 'queue_full');
});

test('an instance on a suspect node is used only when there is no other, however busy that is', () => {
  const events = [
    nodeJoined(OTHER_NODE),
    instanceCreated('a', [NODE, OTHER_NODE]),
    instanceCreated('b'),
    taskAssigned('1', 'b'),
    becomes(OTHER_NODE, 'suspect'),
  ];
  assert.equal(chosen(stateAfter(...events)), 'b');
  assert.equal(chosen(stateAfter(...events, becomes(NODE, 'suspect'))), 'a');
  assert.equal(chosen(stateAfter(...events, runnerStatusChanged('b', 'failed'))), 'a');
});

test('an instance that still loads is used when none is ready, or those that are have their queues full', () => {
  const events = [instanceCreated('a'), instanceCreated('b'), runnerStatusChanged('b', 'ready')];
  assert.equal(chosen(stateAfter(...events, taskAssigned('1', 'b'))), 'b');
  const full = Array.from({ length: LIMITS.instanceQueueRequests }, (_, i) => taskAssigned(`t${i}`, 'b'));
  assert.equal(chosen(stateAfter(...events, ...full)), 'a');
  assert.equal(chosen(stateAfter(...events, runnerStatusChanged('b', 'failed', 2))), 'a');
});

test('a node that the asking one has no link to serves it nothing; when no other is left, the error says so', () => {
  const state = stateAfter(nodeJoined(OTHER_NODE), instanceCreated('a', [OTHER_NODE]), instanceCreated('b'));
  assert.equal(chosen(state), 'a');
  assert.equal(chosen(state, [OTHER_NODE]), 'b');
  assert.equal(chosen(state, [OTHER_NODE, NODE]), 'node_lost');
});

test('only the first shard has to be reached: requests go there', () => {
  const state = stateAfter(nodeJoined(OTHER_NODE), instanceCreated('a', [NODE, OTHER_NODE]));
  assert.equal(chosen(state, [OTHER_NODE]), 'a');
  assert.equal(chosen(state, [NODE]), 'node_lost');
});

test('R13, R15: a burst over idle instances differs by at most one, and ties do not depend on order', () => {
  fc.assert(
    fc.property(
      fc.shuffledSubarray(['a', 'b', 'c', 'd', 'e'], { minLength: 1 }),
      fc.nat(40),
      (names, requests) => {
        let state = stateAfter(...names.map((name) => instanceCreated(name)));
        const turns: string[] = [];
        for (let i = 0; i < requests; i += 1) {
          turns.push(chosen(state));
          state = apply(state, taskAssigned(`t${i}`, chosen(state)));
        }
        const counts = names.map((name) => turns.filter((turn) => turn === name).length);
        assert.ok(Math.max(...counts) - Math.min(...counts) <= 1);
        const sorted = [...names].sort();
        assert.deepEqual(
          turns,
          turns.map((_, i) => sorted[i % sorted.length]),
        );
        assert.deepEqual(
          [...state.instances.keys()].map((id) => runningTasks(state, id)),
          counts,
        );
      },
    ),
  );
});

test('R2, R3: whoever is chosen is alive and reachable, nobody is better off, and nobody as good is less busy', () => {
  const instance = fc.record({
    nodes: fc.subarray([NODE, OTHER_NODE], { minLength: 1 }),
    status: fc.constantFrom('spawned' as const, 'ready' as const, 'failed' as const, 'stopping' as const),
    tasks: fc.nat(4),
  });
  const health = fc.constantFrom<NodeStatus>('alive', 'suspect', 'dead');
  const law = (
    instances: { nodes: NodeId[]; status: 'spawned' | 'ready' | 'failed' | 'stopping'; tasks: number }[],
    own: NodeStatus,
    other: NodeStatus,
    unreachable: NodeId[],
  ) => {
    const healthOf = (nodeId: NodeId) => (nodeId === NODE ? own : other);
    const state = stateAfter(
      nodeJoined(OTHER_NODE),
      ...instances.flatMap(({ nodes, status, tasks }, i) => [
        instanceCreated(`i${i}`, nodes),
        runnerStatusChanged(`i${i}`, status),
        ...Array.from({ length: tasks }, (_, n) => taskAssigned(`i${i}t${n}`, `i${i}`, 'client' as NodeId)),
      ]),
      becomes(NODE, own),
      becomes(OTHER_NODE, other),
    );
    const able = instances.flatMap(({ nodes, status, tasks }, i) => {
      if (status === 'failed' || status === 'stopping') return [];
      if (nodes.some((nodeId) => healthOf(nodeId) === 'dead')) return [];
      if (unreachable.includes(nodes[0] as NodeId)) return [];
      const isSuspect = nodes.some((nodeId) => healthOf(nodeId) === 'suspect');
      // Only the first runner of each has reported.
      const isStarting = status !== 'ready' || nodes.length > 1;
      return [{ id: `i${i}`, tasks, rank: (isSuspect ? 2 : 0) + (isStarting ? 1 : 0) }];
    });
    const choice = choose(state, unreachable);
    if ('fault' in choice) return assert.deepEqual(able, []);
    const best = able.find(({ id }) => id === choice.instance.instanceId);
    assert.ok(best !== undefined);
    for (const other of able) {
      assert.ok(best.rank <= other.rank);
      if (best.rank === other.rank) assert.ok(best.tasks <= other.tasks);
    }
  };
  fc.assert(
    fc.property(
      fc.array(instance, { maxLength: 5 }),
      health,
      health,
      fc.subarray([NODE, OTHER_NODE] as NodeId[]),
      law,
    ),
  );
});

test('R1: nothing new goes to a node that is stopping, and without another the client hears so', () => {
  const stopping = { kind: 'NodeJoined', node: { ...nodeFact(OTHER_NODE), isDraining: true } } as const;
  const both = stateAfter(
    stopping,
    instanceCreated('leaving', [OTHER_NODE]),
    instanceCreated('staying'),
    taskAssigned('t', 'staying'),
  );
  assert.equal(chosen(both), 'staying');
  const choice = choose(stateAfter(stopping, instanceCreated('leaving', [OTHER_NODE])), []);
  assert.equal('fault' in choice && choice.fault.code, 'not_ready');
});
