/** Nodes on hosts of their own find each other, agree, and answer for each other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { Hosts, whyNoHosts } from '../support/hosts.js';
import { NodeGroup } from '../support/nodeGroup.js';

const skip = (await whyNoHosts()) ?? false;
const BOUND = { timeout: 120_000, skip };

const ask = (url: string) =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused', maxRetries: 0 }).chat.completions.create({
    model: 'shoal-guide',
    messages: [{ role: 'user', content: 'What is Shoal?' }],
    temperature: 0,
    max_tokens: 24,
  });

test(
  'R54, R80: three machines without configuration are one cluster, and each answers with the model of one',
  BOUND,
  async (t) => {
    const hosts = await Hosts.create({ count: 3 });
    const group = new NodeGroup();
    t.after(async () => {
      await group.stop();
      await hosts.close();
    });
    await group.add(hosts.host(1), '--name', 'one', '--serve', 'shoal-guide');
    await group.add(hosts.host(2), '--name', 'two');
    await group.add(hosts.host(3), '--name', 'three', '--no-worker');
    await group.agreed();
    await group.ready(1);
    const answers = await Promise.all(group.nodes.map(({ url }) => ask(url)));
    const texts = answers.map(({ choices }) => choices[0]?.message.content);
    assert.ok((texts[0] ?? '').length > 0);
    assert.equal(new Set(texts).size, 1);
    for (const { url } of group.nodes) {
      assert.equal((await fetch(`${url}/health`)).status, 200);
      assert.equal((await fetch(`${url}/ready`)).status, 200);
      const models = (await (await fetch(`${url}/v1/models`)).json()) as { data: { id: string }[] };
      assert.ok(models.data.some(({ id }) => id === 'shoal-guide'));
    }
  },
);

test(
  'R54: on a direct cable with nothing but link-local addresses two machines are a cluster',
  BOUND,
  async (t) => {
    const hosts = await Hosts.create({ count: 2, layout: 'cable', ipv4: false });
    const group = new NodeGroup();
    t.after(async () => {
      await group.stop();
      await hosts.close();
    });
    await group.add(hosts.host(1), '--serve', 'shoal-guide');
    const second = await group.add(hosts.host(2));
    await group.agreed();
    await group.ready(1);
    assert.ok((await ask(second.url)).choices[0]?.message.content);
  },
);

interface Link {
  readonly from: string;
  readonly rtt_us: number | null;
  readonly bandwidth_bytes_per_s: number | null;
  readonly rdma: boolean;
}

test(
  'R54, R24, R38: an address that a person gave is enough, also for the third, and all know how fast all are',
  BOUND,
  async (t) => {
    const hosts = await Hosts.create({ count: 3 });
    const group = new NodeGroup();
    t.after(async () => {
      await group.stop();
      await hosts.close();
    });
    const first = await group.add(hosts.host(1), '--no-discovery', '--benchmark');
    await group.add(hosts.host(2), '--no-discovery', '--peer', first.peerAddress);
    await group.add(hosts.host(3), '--no-discovery', '--peer', first.peerAddress);
    await group.agreed();
    await group.nodes[2]?.until('linked with all, and measured', (state) => {
      const { links, nodes } = state as unknown as {
        links: readonly Link[];
        nodes: Readonly<Record<string, { speed?: { memory_bytes_per_second: number } | null }>>;
      };
      const isMeasured = ({ rtt_us: roundTrip, bandwidth_bytes_per_s: bandwidth, rdma }: Link) =>
        (roundTrip ?? 0) > 0 && (bandwidth ?? 0) > 0 && !rdma;
      const areLinked = group.nodes.every(
        ({ nodeId }) => links.filter(({ from }) => from === nodeId).length === 2,
      );
      const isFast = (nodes[first.nodeId]?.speed?.memory_bytes_per_second ?? 0) > 0;
      return areLinked && links.every(isMeasured) && isFast;
    });
  },
);

test('R55: a node with another token stays outside, and both sides are told why', BOUND, async (t) => {
  const hosts = await Hosts.create({ count: 2 });
  const group = new NodeGroup();
  const stranger = new NodeGroup();
  t.after(async () => {
    await Promise.all([group.stop(), stranger.stop()]);
    await hosts.close();
  });
  const inside = await group.add(hosts.host(1));
  await group.agreed();
  const outside = await stranger.add(hosts.host(2), '--peer', inside.peerAddress);
  const isTold = (log: string) => /token/i.test(log);
  await inside.until('told', () => isTold(inside.log()));
  await outside.until('told', () => isTold(outside.log()));
  await stranger.agreed();
  assert.deepEqual(Object.keys((await inside.state()).nodes), [inside.nodeId]);
});
