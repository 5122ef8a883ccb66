/** What breaks between machines, and what the others make of it: real processes on hosts of their own. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Hosts, whyNoHosts } from '../support/hosts.js';
import { NodeGroup } from '../support/nodeGroup.js';
import type { NodeProcess } from '../support/nodeProcess.js';
import { answer, client, MODEL, question, SLOWLY, shows, streamed } from './scene.js';
import { wishFor } from './wishScene.js';

const skip = (await whyNoHosts()) ?? false;
const BOUND = { timeout: 180_000 };

describe('three machines', { skip }, () => {
  const group = new NodeGroup();
  let hosts: Hosts;

  /** By the number of its host; one that is started again is another process. */
  const node = (number: number): NodeProcess => group.nodes[number - 1] ?? assert.fail(`no node ${number}`);

  before(async () => {
    hosts = await Hosts.create({ count: 3 });
    await group.add(hosts.host(1), '--no-worker', '--failpoints');
    await group.agreed();
    await group.add(hosts.host(2), '--serve', MODEL, '--failpoints');
    await group.add(hosts.host(3), '--failpoints');
    await group.agreed();
    await group.ready(1);
  }, BOUND);

  after(async () => {
    await group.stop();
    await hosts?.close();
  }, BOUND);

  test(
    'R57, R81: the master is killed during a stream between two others: no token is lost',
    BOUND,
    async () => {
      const [first, serving, asking] = [node(1), node(2), node(3)];
      assert.equal(await group.master(), first, 'the one that was there rules on');
      const undisturbed = await answer(asking);
      const text = await streamed(asking, 10, () => {
        first.child.kill('SIGKILL');
      });
      assert.equal(text, undisturbed);
      await group.agreed([serving, asking]);
      await shows(asking, first, 'dead');
      assert.equal(await answer(asking), undisturbed);
      await first.exited;
      await group.restart(first, hosts.host(1), '--no-worker', '--failpoints');
      await group.agreed();
    },
  );

  test('R11: a request is cancelled through another node than the one that took it', BOUND, async () => {
    const [asking, serving] = [node(1), node(2)];
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
    'R56, R81: a machine that stood still is given up, and is one of them again when it goes on',
    BOUND,
    async () => {
      await wishFor(node(3), { node_ids: [node(3).nodeId] });
      await group.ready(2);
      const paused = await group.master();
      const others = group.nodes.filter((one) => one !== paused);
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
      await group.ready(2);
      assert.ok((await answer(paused)).length > 0);
    },
  );

  test(
    'R56, R59, R81: a cut cable makes two clusters that serve on, a healed one makes one again',
    BOUND,
    async () => {
      const [one, two, three] = [node(1), node(2), node(3)];
      const pids = await Promise.all([two, three].map(async (serving) => runnerPids(await serving.state())));
      await hosts.cut(hosts.host(3));
      await Promise.all([group.agreed([one, two]), group.agreed([three])]);
      for (const [left, gone] of [
        [one, three],
        [two, three],
        [three, two],
      ] as const) {
        await shows(left, gone, 'dead');
        assert.ok((await answer(left)).length > 0);
      }
      await hosts.healAll();
      await group.agreed();
      await group.ready(2);
      assert.deepEqual(
        await Promise.all([two, three].map(async (serving) => runnerPids(await serving.state()))),
        pids,
        'nothing was torn down',
      );
    },
  );

  test(
    'R81: nodes are restarted one after the other while clients ask the others: every answer comes',
    BOUND,
    async () => {
      const gateway = node(1);
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
        assert.equal(await node(number).end(), 0);
        await group.restart(node(number), hosts.host(number));
        await group.agreed();
        await group.ready(2);
      }
      isOver = true;
      await Promise.all(asking);
      assert.deepEqual(failures, []);
      assert.ok(answers > 0);
    },
  );
});

function runnerPids({ runners }: Awaited<ReturnType<NodeProcess['state']>>): unknown[] {
  return Object.entries(runners)
    .map(([id, { pid }]) => [id, pid])
    .sort();
}
