import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { RunnerId } from '../shared/ids.js';
import { decideRestart, RESTART_POLICY } from './restartPolicy.js';
import { isLegalMove, isTerminal, RUNNER_MOVES, type RunnerStatus } from './runnerLife.js';
import {
  instanceCreated,
  instanceDeleted,
  MODEL,
  NODE,
  nodeJoined,
  OTHER_NODE,
  runnerFact,
  runnerStatusChanged,
  stateAfter,
  taskAssigned,
  taskFinished,
} from './testing.js';
import { viewEvent, viewState } from './view.js';
import { planWorker, type WorkerHas } from './workerPlan.js';

const has = (...runners: string[]): WorkerHas => ({
  supervised: new Set(runners as RunnerId[]),
  leaving: new Set(),
  memoryBytes: new Map(),
});

test('R48: restarts come after 2, 4, 8 … at most 60 s, and end after 10', () => {
  let history = { restarts: 0 };
  const delays: number[] = [];
  for (;;) {
    const decision = decideRestart(history, 0, 0);
    if (decision.kind === 'give_up') break;
    delays.push(decision.delayMs / 1000);
    history = decision.history;
  }
  assert.deepEqual(delays, [2, 4, 8, 16, 32, 60, 60, 60, 60, 60]);
});

test('R48: jitter only shortens, within its share; a healthy period refills the budget', () => {
  fc.assert(
    fc.property(fc.nat(9), fc.double({ min: 0, max: 0.999, noNaN: true }), (restarts, random) => {
      const decision = decideRestart({ restarts }, 0, random);
      const full = decideRestart({ restarts }, 0, 0);
      assert.ok(decision.kind === 'restart' && full.kind === 'restart');
      assert.ok(decision.delayMs <= full.delayMs);
      assert.ok(decision.delayMs >= Math.floor(full.delayMs * (1 - RESTART_POLICY.jitter)));
    }),
  );
  const again = decideRestart({ restarts: RESTART_POLICY.maxRestarts }, RESTART_POLICY.healthyMs, 0);
  assert.deepEqual(again, { kind: 'restart', delayMs: RESTART_POLICY.baseMs, history: { restarts: 1 } });
});

test('R49: every status of a runner can fail or has ended, and ends are left only by a new spawn', () => {
  for (const status of Object.keys(RUNNER_MOVES) as RunnerStatus[]) {
    assert.ok(isLegalMove(status, status));
    assert.ok(isLegalMove(status, 'failed') || isTerminal(status));
  }
  assert.deepEqual(RUNNER_MOVES.stopped, ['spawned']);
  assert.deepEqual(RUNNER_MOVES.failed, ['spawned']);
  assert.equal(isLegalMove('spawned', 'ready'), false);
});

test('the worker plan starts what is missing, stops what is not wanted, and is then content', () => {
  const state = stateAfter(instanceCreated('a'), instanceCreated('b'), instanceCreated('c', [OTHER_NODE]));
  const actions = planWorker(state, NODE, has('b-0', 'old-0'));
  const summary = actions.map((action) =>
    action.kind === 'StartRunner' ? `start ${action.shard.runnerId}` : `stop ${action.runnerId}`,
  );
  assert.deepEqual(summary, ['start a-0', 'stop old-0']);
  assert.deepEqual(planWorker(state, NODE, has('a-0', 'b-0')), []);
});

test('R72: the state is shown in the words of the contract', () => {
  const state = stateAfter(
    nodeJoined(NODE, 3),
    instanceCreated('a'),
    {
      kind: 'RunnerStatusChanged',
      runner: { ...runnerFact('a', 'ready'), incarnation: 3, restartAt: 2_000 },
    },
    taskAssigned('ended', 'a', OTHER_NODE),
    taskFinished('ended', 'a'),
    taskAssigned('running', 'a', OTHER_NODE),
  );
  const memory = { totalBytes: 8, availableBytes: 4 };
  const telemetry = {
    nodes: new Map([[NODE, { memory, lastSeen: '1970-01-01T00:00:00.000Z', status: 'dead', nodeId: 'x' }]]),
    runners: new Map([['a-0' as RunnerId, { progress: 1, status: 'failed' }]]),
    links: [
      {
        from: NODE,
        to: OTHER_NODE,
        interfaceKind: null,
        rttUs: 250,
        bandwidthBytesPerS: null,
        rdma: false,
      },
    ],
  };
  const { instances, ...view } = viewState(state, telemetry, NODE);
  assert.deepEqual(view, {
    index: 7,
    term: 0,
    master_node_id: null,
    node_id: NODE,
    nodes: {
      [NODE]: {
        node_id: NODE,
        name: NODE,
        status: 'alive',
        incarnation: 3,
        addresses: ['127.0.0.1:52416'],
        memory_bytes: 1_000_000_000,
        is_draining: false,
        models: [MODEL],
        memory: { total_bytes: 8, available_bytes: 4 },
        last_seen: '1970-01-01T00:00:00.000Z',
      },
    },
    links: [
      {
        from: NODE,
        to: OTHER_NODE,
        interface_kind: null,
        rtt_us: 250,
        bandwidth_bytes_per_s: null,
        rdma: false,
      },
    ],
    runners: {
      'a-0': {
        runner_id: 'a-0',
        instance_id: 'a',
        node_id: NODE,
        rank: 0,
        incarnation: 3,
        sequence: 1,
        pid: 1,
        status: 'running',
        progress: 1,
        restarts: 0,
        restart_at: '1970-01-01T00:00:02.000Z',
      },
    },
    meta_instances: {},
    model_cards: [],
    downloads: {},
    tasks: {
      ended: taskView('ended', 'complete'),
      running: taskView('running', 'running'),
    },
  });
  const { a } = instances as Record<
    string,
    { status: string; attempt: number; shards: { start_layer: number }[] }
  >;
  assert.equal(a?.status, 'ready');
  assert.equal(a?.attempt, 1);
  assert.equal(a?.shards[0]?.start_layer, 0);
});

test('R72: events are shown in the same words as the state', () => {
  assert.deepEqual(viewEvent(taskAssigned('t', 'a', OTHER_NODE)), {
    kind: 'TaskAssigned',
    task: taskView('t', 'running'),
  });
  assert.deepEqual(viewEvent(runnerStatusChanged('a', 'ready')), {
    kind: 'RunnerStatusChanged',
    runner: {
      runner_id: 'a-0',
      incarnation: 1,
      sequence: 1,
      status: 'ready',
      pid: 1,
      restarts: 0,
      restart_at: null,
    },
  });
  assert.deepEqual(viewEvent(instanceDeleted('a')), { kind: 'InstanceDeleted', instance_id: 'a' });
});

function taskView(id: string, status: string) {
  return {
    task_id: id,
    command_id: `command-${id}`,
    instance_id: 'a',
    kind: 'generation',
    status,
    api_node_id: OTHER_NODE,
    api_incarnation: 1,
    created_at: '1970-01-01T00:00:00.000Z',
  };
}
