import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { RunnerId } from '../shared/ids.js';
import { decideRestart, RESTART_POLICY } from './restartPolicy.js';
import { isLegalMove, isTerminal, RUNNER_MOVES, type RunnerStatus } from './runnerLife.js';
import { instanceRecord, NODE, runnerStatusChanged, stateAfter } from './testing.js';
import { viewState } from './view.js';
import { planWorker } from './workerPlan.js';

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
  const state = stateAfter(
    { kind: 'InstanceCreated', instance: instanceRecord('a') },
    { kind: 'InstanceCreated', instance: instanceRecord('b') },
  );
  const actions = planWorker(state, NODE, new Set(['b-0', 'old-0'] as RunnerId[]));
  const summary = actions.map((action) =>
    action.kind === 'StartRunner' ? `start ${action.shard.runnerId}` : `stop ${action.runnerId}`,
  );
  assert.deepEqual(summary, ['start a-0', 'stop old-0']);
  assert.deepEqual(planWorker(state, NODE, new Set(['a-0', 'b-0'] as RunnerId[])), []);
});

test('R72: the state is shown in the words of the contract', () => {
  const state = stateAfter(
    { kind: 'NodeJoined', node: { nodeId: NODE, name: 'desk', status: 'alive', addresses: [] } },
    { kind: 'InstanceCreated', instance: instanceRecord('a') },
    runnerStatusChanged('a', 'ready'),
  );
  const telemetry = { nodes: new Map(), runners: new Map([['a-0' as RunnerId, { progress: 1 }]]) };
  const view = viewState(state, telemetry, NODE) as {
    node_id: string;
    instances: Record<string, { status: string; shards: { start_layer: number }[] }>;
    runners: Record<string, { instance_id: string; status: string; progress: number; restart_at: null }>;
  };
  assert.equal(view.node_id, NODE);
  assert.equal(view.instances.a?.status, 'ready');
  assert.equal(view.instances.a?.shards[0]?.start_layer, 0);
  assert.equal(view.runners['a-0']?.instance_id, 'a');
  assert.equal(view.runners['a-0']?.progress, 1);
  assert.equal(view.runners['a-0']?.restart_at, null);
});
