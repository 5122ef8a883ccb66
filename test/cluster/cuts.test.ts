/** Cables that fail in parts: in one direction, between two of three, pulled out; and no way to the internet at all. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { whyNoHosts } from '../support/hosts.js';
import { answer, brief, instancesOn, MODEL, post, servedBy, setUp, shows } from './scene.js';

const skip = (await whyNoHosts()) ?? false;
const BOUND = { timeout: 120_000, skip };
/** An address for documentation (RFC 5737), which nobody has. */
const OUTSIDE = "require('node:net').connect(443, '192.0.2.1').on('error', ({ code }) => console.log(code))";

test(
  'R56, R59, R81: a machine that is not heard, or does not hear, is out for both sides until it is healed',
  BOUND,
  async (t) => {
    const { hosts, group } = await setUp(t, 3);
    const one = await group.add(hosts.host(1), '--serve', MODEL);
    const two = await group.add(hosts.host(2), '--no-worker');
    const three = await group.add(hosts.host(3), '--serve', MODEL);
    await group.agreed();
    await group.ready(2);
    for (const direction of ['sending', 'receiving'] as const) {
      await hosts.cutDirection(hosts.host(3), direction);
      await Promise.all([group.agreed([one, two]), group.agreed([three])]);
      await Promise.all([shows(one, three, 'dead'), shows(two, three, 'dead'), shows(three, one, 'dead')]);
      assert.deepEqual([await servedBy(two)], await instancesOn(one, two));
      assert.deepEqual([await servedBy(three)], await instancesOn(three, three));
      await hosts.healAll();
      await group.agreed();
      await group.ready(2);
    }
  },
);

test(
  'R56, R57, R81: two of three do not reach each other: the third speaks for both, requests go where there is a way',
  BOUND,
  async (t) => {
    const { hosts, group } = await setUp(t, 3);
    const master = await group.add(hosts.host(1), '--serve', MODEL);
    await group.agreed();
    const asking = await group.add(hosts.host(2), '--no-worker');
    const third = await group.add(hosts.host(3), '--serve', MODEL);
    await group.agreed();
    await group.ready(2);
    const { term } = (await asking.state()) as unknown as { term: number };
    await hosts.cutBetween(hosts.host(1), hosts.host(2));
    // Until the link knows of it, a request may still be placed over there: it ends like all the others.
    const early = await Promise.all(Array.from({ length: 4 }, () => post(asking, '/v1/completions', brief)));
    for (const response of early) {
      const text = await response.text();
      if (response.status !== 200) assert.match(text, /"code":"node_lost"/);
    }
    assert.ok(early.some(({ status }) => status === 200));
    await asking.until('without the link', (state) => {
      const { links } = state as unknown as { links: readonly { from: string; to: string }[] };
      return !links.some(({ from, to }) => from === asking.nodeId && to === master.nodeId);
    });
    const reachable = await instancesOn(third, asking);
    for (let i = 0; i < 4; i += 1) assert.deepEqual([await servedBy(asking)], reachable);
    const state = (await group.agreed()) as unknown as { master_node_id: string; term: number };
    assert.deepEqual([state.master_node_id, state.term], [master.nodeId, term], 'nobody was deposed');
    const [id = ''] = await instancesOn(master, asking);
    const deleted = await fetch(`${asking.url}/instance/${id}`, { method: 'DELETE' });
    assert.equal(deleted.status, 202, await deleted.text());
    for (const node of group.nodes) await node.until('told', ({ instances }) => !(id in instances));
  },
);

test(
  'R54, R59, R81: a cable that is pulled out and put in again makes two clusters, and one',
  BOUND,
  async (t) => {
    const { hosts, group } = await setUp(t, 2);
    const [one, two] = [
      await group.add(hosts.host(1), '--serve', MODEL),
      await group.add(hosts.host(2), '--no-worker'),
    ];
    await group.agreed();
    await group.ready(1);
    await hosts.unplug(hosts.host(2));
    await Promise.all([group.agreed([one]), group.agreed([two])]);
    await Promise.all([shows(one, two, 'dead'), shows(two, one, 'dead')]);
    assert.ok((await answer(one)).length > 0);
    await hosts.plug(hosts.host(2));
    await group.agreed();
    await group.ready(1);
    assert.ok((await answer(two)).length > 0);
  },
);

test(
  'R80, R81: without any way to the internet, which is checked, nodes are a cluster and answer',
  BOUND,
  async (t) => {
    const { hosts, group } = await setUp(t, 2);
    await hosts.checkIsolation();
    for (const host of hosts.hosts) {
      const probe = host.spawn(process.execPath, ['-e', OUTSIDE], { stdio: ['ignore', 'pipe', 'inherit'] });
      const [said] = (await once(probe.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
      assert.equal(said.toString().trim(), 'ENETUNREACH');
    }
    await group.add(hosts.host(1), '--serve', MODEL);
    const asking = await group.add(hosts.host(2), '--no-worker');
    await group.agreed();
    await group.ready(1);
    assert.ok((await answer(asking)).length > 0);
    await hosts.checkIsolation();
  },
);
