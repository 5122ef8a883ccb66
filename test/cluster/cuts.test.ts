/** Cables that fail in parts: in one direction, between two of three, pulled out; and no way to the internet at all. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { Hosts, whyNoHosts } from '../support/hosts.js';
import { NodeGroup } from '../support/nodeGroup.js';
import type { NodeProcess } from '../support/nodeProcess.js';
import { answer, brief, instancesOn, MODEL, post, servedBy, shows } from './scene.js';

const skip = (await whyNoHosts()) ?? false;
const BOUND = { timeout: 120_000 };
/** An address for documentation (RFC 5737), which nobody has. */
const OUTSIDE = "require('node:net').connect(443, '192.0.2.1').on('error', ({ code }) => console.log(code))";

describe('cables of three machines', { skip }, () => {
  const group = new NodeGroup();
  let hosts: Hosts;
  // The first and the last have the model. The first rules until it is cut off.
  let first: NodeProcess;
  let asking: NodeProcess;
  let last: NodeProcess;

  before(async () => {
    hosts = await Hosts.create({ count: 3 });
    first = await group.add(hosts.host(1), '--serve', MODEL);
    await group.agreed();
    asking = await group.add(hosts.host(2), '--no-worker');
    last = await group.add(hosts.host(3), '--serve', MODEL);
    await whole();
  }, BOUND);

  after(async () => {
    await group.stop();
    await hosts?.close();
  }, BOUND);

  /** Waits until all are one cluster that serves twice. */
  async function whole(): Promise<void> {
    await group.agreed();
    await group.ready(2);
  }

  /** Waits until the last one is a cluster of its own. */
  async function parted(): Promise<void> {
    await Promise.all([group.agreed([first, asking]), group.agreed([last])]);
    await Promise.all([shows(first, last, 'dead'), shows(asking, last, 'dead'), shows(last, first, 'dead')]);
  }

  test(
    'R80, R81: without any way to the internet, which is checked, nodes are a cluster and answer',
    BOUND,
    async () => {
      await hosts.checkIsolation();
      for (const host of hosts.hosts) {
        const probe = host.spawn(process.execPath, ['-e', OUTSIDE], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        const [said] = (await once(probe.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
        assert.equal(said.toString().trim(), 'ENETUNREACH');
      }
      assert.ok((await answer(asking)).length > 0);
      await hosts.checkIsolation();
    },
  );

  test(
    'R56, R57, R81: two of three do not reach each other: the third speaks for both, requests go where there is a way',
    BOUND,
    async () => {
      assert.equal(await group.master(), first);
      const { term } = (await asking.state()) as unknown as { term: number };
      await hosts.cutBetween(hosts.host(1), hosts.host(2));
      // Until the link knows of it, a request may still be placed over there: it ends like all the others.
      const early = await Promise.all(
        Array.from({ length: 4 }, () => post(asking, '/v1/completions', brief)),
      );
      for (const response of early) {
        const text = await response.text();
        if (response.status !== 200) assert.match(text, /"code":"node_lost"/);
      }
      assert.ok(early.some(({ status }) => status === 200));
      await asking.until('without the link', (state) => {
        const { links } = state as unknown as { links: readonly { from: string; to: string }[] };
        return !links.some(({ from, to }) => from === asking.nodeId && to === first.nodeId);
      });
      const reachable = await instancesOn(last, asking);
      for (let i = 0; i < 4; i += 1) assert.deepEqual([await servedBy(asking)], reachable);
      const state = (await group.agreed()) as unknown as { master_node_id: string; term: number };
      assert.deepEqual([state.master_node_id, state.term], [first.nodeId, term], 'nobody was deposed');
      const [id = ''] = await instancesOn(first, asking);
      const deleted = await fetch(`${asking.url}/instance/${id}`, { method: 'DELETE' });
      assert.equal(deleted.status, 202, await deleted.text());
      for (const node of group.nodes) await node.until('told', ({ instances }) => !(id in instances));
      await hosts.healAll();
      await whole();
    },
  );

  test(
    'R56, R59, R81: a machine that is not heard, or does not hear, is out for both sides until it is healed',
    BOUND,
    async () => {
      for (const direction of ['sending', 'receiving'] as const) {
        await hosts.cutDirection(hosts.host(3), direction);
        await parted();
        assert.deepEqual([await servedBy(asking)], await instancesOn(first, asking));
        assert.deepEqual([await servedBy(last)], await instancesOn(last, last));
        await hosts.healAll();
        await whole();
      }
    },
  );

  test(
    'R54, R59, R81: a cable that is pulled out and put in again makes two clusters, and one',
    BOUND,
    async () => {
      await hosts.unplug(hosts.host(3));
      await parted();
      for (const node of group.nodes) assert.ok((await answer(node)).length > 0);
      await hosts.plug(hosts.host(3));
      await whole();
      assert.ok((await answer(last)).length > 0);
    },
  );
});
