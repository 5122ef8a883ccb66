/** The cable between two nodes that share a model is cut, and put in again; each has a way to a third. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whyNoHosts } from '../support/hosts.js';
import { answer, client, question, SLOWLY, setUp } from './scene.js';
import { pidsOf, untilFailure, untilServed } from './shardScene.js';
import { untilEnded, wishFor } from './wishScene.js';

const skip = (await whyNoHosts()) ?? false;
const SHAPE = { context_length: 512, max_sequences: 2, min_nodes: 2 };

test('R24, R81: ranks that lose their way end with their stream, wait for it without a try in vain, and are back with it', {
  timeout: 180_000,
  skip,
}, async (t) => {
  const { hosts, group } = await setUp(t, 3);
  const asked = await group.add(hosts.host(1), '--no-worker', '--failpoints');
  await group.add(hosts.host(2), '--failpoints');
  await group.add(hosts.host(3), '--failpoints');
  await group.agreed();
  const id = await wishFor(asked, SHAPE);
  const shown = await untilServed(asked, id);
  const expected = await answer(asked);
  const body = { ...question, stream: true } as const;
  const stream = await client(asked).chat.completions.create(body, { headers: SLOWLY });
  let tokens = 0;
  const streamed = (async () => {
    for await (const _ of stream) {
      tokens += 1;
      if (tokens === 3) await hosts.cutBetween(hosts.host(2), hosts.host(3));
    }
  })().catch((error: unknown) => assert.match(String(error), /runner|node|rank|lost|stopped/i));
  const failure = await untilFailure(asked, id, 1);
  assert.match(failure.message, /no way between|lost|did not|at fault/);
  for (const pid of pidsOf(shown)) await untilEnded(pid);
  await hosts.healAll();
  await streamed;
  const again = await untilServed(asked, id);
  assert.equal(again.wish.errors.length, 1, 'while there was no way, nothing was tried');
  assert.equal(await answer(asked), expected);
});
