/** The cable between two nodes that share a model is cut, and put in again; each has a way to a third. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whyNoHosts } from '../support/hosts.js';
import { answer, client, question, SLOWLY, setUp } from './scene.js';
import { hold, pidsOf, untilFailure, untilHeld, untilNoPipes, untilServed } from './shardScene.js';
import { remove, type Shown, untilEnded, untilNothingLeft, wishFor } from './wishScene.js';

const skip = (await whyNoHosts()) ?? false;
const SHAPE = { context_length: 512, max_sequences: 2, min_nodes: 2 };

test('R24, R81: ranks that lose their way end with their stream, wait for it without a try in vain, and are back with it', {
  timeout: 300_000,
  skip,
}, async (t) => {
  const { hosts, group } = await setUp(t, 3);
  const asked = await group.add(hosts.host(1), '--no-worker', '--failpoints');
  const workers = [
    await group.add(hosts.host(2), '--failpoints'),
    await group.add(hosts.host(3), '--failpoints'),
  ];
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
  await remove(asked, id);

  await t.test(
    'R24, R49, R81: a way that is lost while the ranks meet, load or warm up: the same',
    async () => {
      const wishes: { readonly id: string; readonly shown: Shown }[] = [];
      for (const phase of ['connecting', 'loading', 'warming_up']) {
        await hold(workers, `${phase}@1`);
        const held = await wishFor(asked, SHAPE);
        wishes.push({ id: held, shown: await untilHeld(asked, held, 1, phase) });
      }
      await hold(workers);
      await hosts.cutBetween(hosts.host(2), hosts.host(3));
      for (const wish of wishes) {
        assert.match((await untilFailure(asked, wish.id, 1)).message, /no way between|lost|did not|at fault/);
        for (const pid of pidsOf(wish.shown)) await untilEnded(pid);
      }
      await hosts.healAll();
      for (const wish of wishes) {
        await untilServed(asked, wish.id);
        assert.equal(await answer(asked), expected);
        await remove(asked, wish.id);
        await untilNothingLeft(group.nodes, wish.id);
      }
      for (const worker of workers) await untilNoPipes(worker);
    },
  );
});
