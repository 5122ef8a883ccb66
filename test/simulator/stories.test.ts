/** What can happen to what people declare, one by one, with whole cores and workers on virtual time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MetaInstanceId } from '../../src/shared/ids.js';
import { LIMITS } from '../../src/shared/limits.js';
import type { Machine } from './machine.js';
import { Story } from './story.js';

/** Not on this machine, but ready. */
function isServedElsewhere(story: Story, { id }: Machine): boolean {
  const place = story.instance('w')?.shards[0]?.nodeId;
  return place !== undefined && place !== id && story.status('w') === 'ready';
}

const PHASES = ['spawned', 'connecting', 'loading', 'warming_up', 'ready'] as const;

for (const phase of PHASES) {
  for (const times of [1, 2, 3]) {
    test(`R26: a runner that fails ${times} times while ${phase} is started anew where it is, and serves`, () => {
      const story = new Story(2, 100 + times);
      story.declare('w');
      let place: unknown;
      for (let failure = 1; failure <= times; failure += 1) {
        story.failIn('w', phase);
        place ??= story.instance('w')?.shards[0]?.nodeId;
        assert.deepEqual([story.status('w'), story.wish('w')?.consecutiveFailures], ['retrying', failure]);
        assert.match(story.wish('w')?.errors.at(-1)?.message ?? '', new RegExp(`it dies while ${phase}`));
      }
      story.untilStatus('w', 'ready');
      assert.equal(story.instance('w')?.attempt, times + 1);
      assert.equal(story.instance('w')?.shards[0]?.nodeId, place);
      story.settle();
    });
  }

  test(`R26, R28: one that fails once more while ${phase} goes to the other node, and when it fails there too it has failed`, () => {
    const story = new Story(2, 110);
    story.declare('w');
    const places = new Set<unknown>();
    for (let failure = 0; failure <= 2 * LIMITS.instanceRetries + 1; failure += 1) {
      story.failIn('w', phase);
      const shard = story.wish('w')?.errors.at(-1)?.nodeId;
      places.add(shard);
      if (failure <= LIMITS.instanceRetries) assert.equal(places.size, 1, 'first where it is');
      if (story.status('w') === 'failed') break;
    }
    assert.equal(story.status('w'), 'failed');
    assert.deepEqual([...places].sort(), ['n1', 'n2']);
    assert.equal(story.wish('w')?.errors.length, 2 * (LIMITS.instanceRetries + 1));
    story.settle();
    story.retry('w');
    story.untilStatus('w', 'ready');
    assert.deepEqual(story.wish('w')?.errors, []);
    story.settle();
  });

  test(`R7: when one of two ranks fails while ${phase}, the other is stopped, and both are started anew`, () => {
    for (const rank of [0, 1]) {
      const story = new Story(2, 120 + rank);
      story.declare('w', 'huge');
      story.failIn('w', phase, rank);
      assert.equal(story.wish('w')?.consecutiveFailures, 1);
      story.untilStatus('w', 'ready');
      assert.equal(story.instance('w')?.attempt, 2);
      assert.equal(story.wish('w')?.errors.length, 1);
      story.settle();
    }
  });

  test(`R22, R24: when the node is lost while its runner is ${phase}, another takes over`, () => {
    const story = new Story(3, 130);
    story.declare('w');
    const { process } = story.untilPhase('w', phase);
    process.machine.crash();
    story.until('served elsewhere', () => isServedElsewhere(story, process.machine));
    assert.equal(story.wish('w')?.consecutiveFailures, 0);
    process.machine.start();
    story.settle();
  });

  test(`R30: what is taken back while its runner is ${phase} leaves nothing anywhere`, () => {
    for (const [size, nodes] of [
      ['small', 1],
      ['huge', 2],
    ] as const) {
      const story = new Story(nodes, 140);
      story.declare('w', size);
      story.untilPhase('w', phase);
      story.takeBack('w');
      story.until('nothing left', () =>
        story.world.processes.every(
          ({ core, worker }) =>
            core.state.metaInstances.size + core.state.instances.size + core.state.runners.size === 0 &&
            worker.runners.size === 0,
        ),
      );
      story.settle();
    }
  });

  test(`R35: after a power cut while its runner is ${phase}, it comes back without a word`, () => {
    const story = new Story(2, 150);
    story.declare('w');
    story.untilPhase('w', phase);
    // What is answered is on a disk within the bound.
    story.pass(600);
    for (const machine of story.world.machines) machine.crash();
    story.pass(1_000);
    for (const machine of story.world.machines) machine.start();
    story.untilStatus('w', 'ready');
    story.settle();
  });
}

test('R26: one that recovers between two failures is counted on, and a healthy period forgives it', () => {
  const story = new Story(1, 160);
  story.declare('w');
  story.failIn('w', 'loading');
  story.untilStatus('w', 'ready');
  story.failIn('w', 'ready');
  assert.equal(story.wish('w')?.consecutiveFailures, 2);
  story.untilStatus('w', 'ready');
  story.pass(310_000);
  assert.deepEqual([story.wish('w')?.consecutiveFailures, story.wish('w')?.errors], [0, []]);
});

test('R26: what fails on one node only is served by the other in the end', () => {
  for (const damaged of [0, 1]) {
    const story = new Story(2, 170, [damaged]);
    story.declare('w', 'large');
    story.until('served by the other', () => isServedElsewhere(story, story.machine(damaged)));
    story.settle();
  }
});

test('R31: of two wishes at once for the memory of one node, one waits and the other serves', () => {
  const story = new Story(1, 180);
  story.declare('v', 'large');
  story.declare('w', 'large');
  story.until('one served', () => story.status('v') === 'ready' || story.status('w') === 'ready');
  assert.deepEqual([story.status('v'), story.status('w')].sort(), ['pending', 'ready']);
  story.settle();
  const [served, waiting] = story.status('v') === 'ready' ? ['v', 'w'] : ['w', 'v'];
  story.takeBack(served as string);
  story.untilStatus(waiting as string, 'ready');
  story.settle();
});

test('R31: the same model twice is two instances', () => {
  const story = new Story(1, 190);
  story.declare('v');
  story.declare('w');
  for (const id of ['v', 'w']) story.untilStatus(id, 'ready');
  assert.equal(story.state.instances.size, 2);
  story.settle();
});

test('R34: what fits only with another node waits for it; what can never fit is refused', () => {
  const story = new Story(2, 200);
  story.machine(1).crash();
  story.until('dead', () => story.master.core.state.nodes.get(story.machine(1).id)?.status === 'dead');
  story.declare('w', 'huge');
  story.untilStatus('w', 'pending');
  story.declare('x', 'small', { minNodes: 9 });
  story.pass(1_000);
  story.machine(1).start();
  story.untilStatus('w', 'ready');
  assert.equal(story.wish('x'), null);
  story.settle();
});

test('R22: a master that is lost during a placement, a retry or a deletion leaves them to the next', () => {
  for (const seed of [210, 211, 212]) {
    const story = new Story(3, seed);
    const loseMaster = () => {
      const { machine } = story.master;
      machine.crash();
      story.until('another master', () => story.world.processes.some(({ core }) => core.role === 'master'));
      machine.start();
    };
    story.declare('w');
    story.until('taken', () => story.wish('w') !== null);
    story.pass(5);
    loseMaster();
    story.untilStatus('w', 'ready');
    story.settle();

    story.failIn('w', 'ready');
    story.pass(5);
    loseMaster();
    story.untilStatus('w', 'ready');
    story.settle();
    assert.ok((story.wish('w')?.errors.length ?? 9) <= 1, 'counted once at most');

    story.takeBack('w');
    story.until('taken back', () => story.wish('w') === null);
    story.pass(5);
    loseMaster();
    story.settle();
    assert.ok(story.state.deletedMetaInstances.includes('w' as MetaInstanceId));
    assert.equal(story.state.instances.size, 0);
  }
});

test('R30: a retry after a deletion brings nothing back', () => {
  const story = new Story(2, 220);
  story.declare('w');
  story.untilStatus('w', 'ready');
  story.takeBack('w');
  story.until('taken back', () => story.wish('w') === null);
  story.retry('w');
  story.declare('w');
  story.pass(5_000);
  assert.deepEqual([story.state.metaInstances.size, story.state.instances.size], [0, 0]);
  story.settle();
});

test('R59: a partition that heals stops nothing that serves, on either side', () => {
  const story = new Story(4, 230);
  story.declare('w');
  story.untilStatus('w', 'ready');
  const nodeId = story.instance('w')?.shards[0]?.nodeId;
  const side = story.world.machines.filter(({ id }) => id === nodeId);
  const beside = story.world.machines.find(({ id }) => id !== nodeId);
  if (beside !== undefined) side.push(beside);
  const others = story.world.machines.filter((machine) => !side.includes(machine));
  const { network } = story.world;
  for (const from of side) {
    for (const to of others) {
      network.cut(from, to, false);
      network.cut(to, from, false);
    }
  }
  const served = (machines: readonly (typeof side)[number][]) =>
    machines.every(({ process }) => process?.core.isUpToDate) &&
    machines.some(({ process }) =>
      [...(process?.worker.runners.values() ?? [])].some(({ status }) => status === 'ready'),
    );
  story.until('served on both sides', () => served(side) && served(others));
  const running = new Map(
    story.world.processes.flatMap(({ worker }) =>
      [...worker.runners.values()].map(({ runnerId, life }) => [runnerId, life] as const),
    ),
  );
  assert.equal(running.size, 2);
  // Clients beside the node go on asking it, so that it has something to do when the sides meet.
  const process = beside?.process;
  for (let at = 0; at < 4; at += 1) {
    process?.api.arrived({
      taskId: `t${at}` as never,
      commandId: `c${at}` as never,
      modelId: 'm1' as never,
      deadlineMs: 60_000,
      placeWaitMs: 0,
    });
  }
  network.healAll(story.world.machines);
  const ended: string[] = [];
  story.until('requests ended', () => (process?.api.open.size ?? 0) === 0);
  for (const { core } of story.world.processes) {
    for (const { taskId, status } of core.state.finishedTasks) if (status === 'cancelled') ended.push(taskId);
  }
  assert.deepEqual(ended, [], 'no request was cancelled');
  story.settle();
  assert.equal(story.state.instances.size, 1);
});

test('R56: machines that all stand still for a moment, as on a busy host, take nobody for lost', () => {
  for (const [at, pausedMs] of [500, 700, 900, 1_500].entries()) {
    const story = new Story(3, 170 + at);
    const { machines } = story.world;
    for (const machine of machines) machine.pause(false);
    story.pass(pausedMs);
    for (const machine of machines) machine.resume();
    for (let look = 0; look < 500; look += 1) {
      story.pass(1);
      for (const { core, name } of story.world.processes) {
        for (const { nodeId, status } of core.state.nodes.values()) {
          assert.equal(status, 'alive', `${name} of ${nodeId}, ${look} ms after ${pausedMs}`);
        }
      }
    }
    story.settle();
  }
});
