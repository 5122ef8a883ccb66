/** A rank that is killed or frozen while the ranks of a model meet, load, or warm up, on real nodes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { removeInstance } from './answers.js';
import { answer, MODEL, post } from './scene.js';
import { hold, pidsOf, rankOn, untilFailure, untilHeld, untilNoPipes, untilServed } from './shardScene.js';
import {
  Cluster,
  remove,
  type Shown,
  untilEnded,
  untilNothingLeft,
  type WishState,
  wishFor,
} from './wishScene.js';

const SHAPE = { context_length: 512, max_sequences: 1, min_nodes: 2 };
const PHASES = { connecting: 'connecting', loading: 'loading', warming_up: 'warming up' } as const;
/** One that connects may be stopped before its first heartbeat: it then makes no progress. */
const FROZEN = /frozen: it has (sent no heartbeat|made no progress)/;
const FAULTS = [
  { rank: 0, signal: 'SIGKILL', says: /SIGKILL/ },
  { rank: 0, signal: 'SIGSTOP', says: FROZEN },
  { rank: 1, signal: 'SIGKILL', says: /SIGKILL/ },
  { rank: 1, signal: 'SIGSTOP', says: FROZEN },
] as const;

test('R7, R24, R49: a rank that is killed or frozen in its start: siblings end, one failure names it, the wish is served', {
  timeout: 300_000,
}, async (t) => {
  const cluster = new Cluster(t);
  const asked = await cluster.add('asked', '--no-worker');
  const workers = [await cluster.add('left'), await cluster.add('right')];
  await cluster.group.agreed();
  for (const [turn, [phase, name]] of Object.entries(PHASES).entries()) {
    await t.test(name, async () => {
      const held: { readonly id: string; readonly shown: Shown }[] = [];
      for (const rank of [0, 1]) {
        await hold(workers, `${phase}@${rank}`);
        const ids = [await wishFor(asked, SHAPE), await wishFor(asked, SHAPE)];
        for (const id of ids) held.push({ id, shown: await untilHeld(asked, id, rank, phase) });
      }
      await hold(workers);
      await Promise.all(
        FAULTS.map(async ({ rank, signal, says }, at) => {
          const { id, shown } = held[at] ?? assert.fail('not held');
          const pids = pidsOf(shown);
          process.kill(pids[rank] ?? assert.fail('no process'), signal);
          const failure = await untilFailure(asked, id, 1);
          assert.equal(failure.node_id, rankOn(shown, rank), failure.message);
          assert.match(failure.message, says);
          assert.match(failure.message, new RegExp(`the runner failed while ${name}: `));
          for (const pid of pids) await untilEnded(pid);
          if (at === turn) {
            const { wish } = await untilServed(asked, id, 2);
            assert.equal(wish.errors.length, 1, 'counted once');
            assert.ok((await answer(asked)).length > 0);
          }
          await remove(asked, id);
          await untilNothingLeft(cluster.group.nodes, id);
        }),
      );
      for (const node of workers) await untilNoPipes(node);
    });
  }
  await t.test('R48: the same without a wish: its ranks start anew together', async () => {
    await hold(workers, 'loading@1');
    const response = await post(asked, '/place_instance', { model_id: MODEL, ...SHAPE });
    const { instance_id: id } = (await response.json()) as { instance_id: string };
    const runnersOf = (state: unknown) => {
      const { instances, runners } = state as WishState;
      return (instances[id]?.shards ?? []).map(({ runner_id: runnerId }) => runners[runnerId]);
    };
    const held = runnersOf(await asked.until('held', (state) => runnersOf(state)[1]?.status === 'loading'));
    await hold(workers);
    process.kill(held[1]?.pid ?? assert.fail('no process'), 'SIGKILL');
    const again = await asked.until('ready', ({ instances }) => instances[id]?.status === 'ready');
    for (const [rank, runner] of runnersOf(again).entries()) assert.notEqual(runner?.pid, held[rank]?.pid);
    assert.ok((await answer(asked)).length > 0);
    await removeInstance(asked, id);
    for (const runner of held) await untilEnded(runner?.pid ?? 0);
    for (const node of workers) await untilNoPipes(node);
  });
});
