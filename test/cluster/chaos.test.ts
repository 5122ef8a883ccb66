/** What breaks between machines, and what the others make of it: real processes on hosts of their own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whyNoHosts } from '../support/hosts.js';
import type { NodeProcess } from '../support/nodeProcess.js';
import { answer, client, MODEL, question, SLOWLY, setUp, shows, streamed } from './scene.js';

const skip = (await whyNoHosts()) ?? false;
const BOUND = { timeout: 180_000, skip };

test(
  'R57, R81: the master is killed during a stream between two others: no token is lost',
  BOUND,
  async (t) => {
    const { hosts, group } = await setUp(t, 3);
    const first = await group.add(hosts.host(1), '--no-worker');
    await group.agreed();
    const serving = await group.add(hosts.host(2), '--serve', MODEL, '--failpoints');
    const asking = await group.add(hosts.host(3), '--no-worker', '--failpoints');
    assert.equal(await group.master(), first, 'the one that was there rules on');
    await group.ready(1);
    const undisturbed = await answer(asking);
    const text = await streamed(asking, 10, () => {
      first.child.kill('SIGKILL');
    });
    assert.equal(text, undisturbed);
    const left = [serving, asking];
    await group.agreed(left);
    await shows(asking, first, 'dead');
    assert.equal(await answer(asking), undisturbed);
  },
);

test(
  'R56, R59, R81: a cut cable makes two clusters that serve on, a healed one makes one again',
  BOUND,
  async (t) => {
    const { hosts, group } = await setUp(t, 3);
    const one = await group.add(hosts.host(1), '--serve', MODEL);
    const two = await group.add(hosts.host(2));
    const three = await group.add(hosts.host(3), '--serve', MODEL);
    await group.agreed();
    await group.ready(2);
    const pids = await Promise.all([one, three].map(async (node) => runnerPids(await node.state())));
    await hosts.cut(hosts.host(3));
    await Promise.all([group.agreed([one, two]), group.agreed([three])]);
    for (const [node, gone] of [
      [one, three],
      [two, three],
      [three, one],
    ] as const) {
      await shows(node, gone, 'dead');
      assert.ok((await answer(node)).length > 0);
    }
    await hosts.healAll();
    await group.agreed();
    await group.ready(2);
    assert.deepEqual(
      await Promise.all([one, three].map(async (node) => runnerPids(await node.state()))),
      pids,
      'nothing was torn down',
    );
  },
);

function runnerPids({ runners }: Awaited<ReturnType<NodeProcess['state']>>): unknown[] {
  return Object.entries(runners)
    .map(([id, { pid }]) => [id, pid])
    .sort();
}

test(
  'R56, R81: a machine that stood still is given up, and is one of them again when it goes on',
  BOUND,
  async (t) => {
    const { hosts, group } = await setUp(t, 3);
    const paused = await group.add(hosts.host(1), '--no-worker');
    await group.agreed();
    const others = [await group.add(hosts.host(2), '--serve', MODEL), await group.add(hosts.host(3))];
    await group.agreed();
    await group.ready(1);
    paused.child.kill('SIGSTOP');
    try {
      await group.agreed(others);
      const [asked] = others as [NodeProcess];
      await shows(asked, paused, 'dead');
      assert.ok((await answer(asked)).length > 0);
    } finally {
      paused.child.kill('SIGCONT');
    }
    await group.agreed();
    assert.ok((await answer(paused)).length > 0);
  },
);

test('R11: a request is cancelled through another node than the one that took it', BOUND, async (t) => {
  const { hosts, group } = await setUp(t, 2);
  const serving = await group.add(hosts.host(1), '--serve', MODEL, '--failpoints');
  const asking = await group.add(hosts.host(2), '--no-worker', '--failpoints');
  await group.agreed();
  await group.ready(1);
  let id = '';
  const stream = await client(asking).chat.completions.create(
    { ...question, stream: true },
    { headers: SLOWLY },
  );
  await assert.rejects(async () => {
    for await (const chunk of stream) {
      if (id !== '') continue;
      id = chunk.id;
      const cancelled = await fetch(`${serving.url}/v1/cancel/${id}`, { method: 'POST' });
      assert.equal(cancelled.status, 200);
    }
  }, /cancelled/);
  await serving.until('idle', ({ tasks }) =>
    Object.values(tasks).every(({ status }) => status !== 'running'),
  );
  assert.equal((await fetch(`${serving.url}/v1/cancel/${id}`, { method: 'POST' })).status, 404);
});

test(
  'R81: nodes are restarted one after the other while clients ask the others: every answer comes',
  BOUND,
  async (t) => {
    const { hosts, group } = await setUp(t, 3);
    const gateway = await group.add(hosts.host(1), '--no-worker');
    await group.agreed();
    await group.add(hosts.host(2), '--serve', MODEL);
    await group.add(hosts.host(3), '--serve', MODEL);
    await group.agreed();
    await group.ready(2);
    const expected = await answer(gateway);
    const failures: unknown[] = [];
    let answers = 0;
    let isOver = false;
    const asking = Array.from({ length: 3 }, async () => {
      while (!isOver) {
        try {
          assert.equal(await answer(gateway), expected);
          answers += 1;
        } catch (error) {
          failures.push(error);
        }
      }
    });
    for (const number of [2, 3]) {
      const node = group.nodes[number - 1] as NodeProcess;
      assert.equal(await node.end(), 0);
      await group.restart(node, hosts.host(number));
      await group.agreed();
      await group.ready(2);
    }
    isOver = true;
    await Promise.all(asking);
    assert.deepEqual(failures, []);
    assert.ok(answers > 0);
  },
);
