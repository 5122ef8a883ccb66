/** Many requests at once, to all nodes of a cluster: the instances share them evenly. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NodeGroup } from '../support/nodeGroup.js';

const MODEL = 'shoal-guide';

for (const instances of [2, 3]) {
  test(`R13, R14, R15: bursts over ${instances} instances, sent to all nodes at once, differ by one at most`, {
    timeout: 180_000,
  }, async (t) => {
    const group = new NodeGroup();
    t.after(() => group.stop());
    for (let i = 0; i < instances; i += 1) {
      const [first] = group.nodes;
      const peer = first === undefined ? [] : ['--peer', first.peerAddress];
      await group.add(null, '--peer-host', '127.0.0.1', '--no-discovery', '--serve', MODEL, ...peer);
    }
    await group.agreed();
    await group.ready(instances);
    for (const size of [4, 15, 64]) {
      const served = await Promise.all(Array.from({ length: size }, (_, i) => ask(group, i)));
      const counts = new Map<string, number>();
      for (const instance of served) counts.set(instance, (counts.get(instance) ?? 0) + 1);
      const least = counts.size < instances ? 0 : Math.min(...counts.values());
      assert.ok(Math.max(...counts.values()) - least <= 1, `${size}: ${[...counts.values()]}`);
      for (const node of group.nodes) {
        await node.until('idle', ({ tasks }) =>
          Object.values(tasks).every(({ status }) => status !== 'running'),
        );
      }
    }
  });
}

/** Which instance served it. Long enough that none ends before the last is placed. */
async function ask({ nodes }: NodeGroup, turn: number): Promise<string> {
  const { url } = nodes[turn % nodes.length] as (typeof nodes)[number];
  const answer = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: MODEL, prompt: 'Once upon a time', max_tokens: 48, ignore_eos: true }),
  });
  const text = await answer.text();
  assert.equal(answer.status, 200, text);
  return answer.headers.get('x-instance-id') ?? '';
}
