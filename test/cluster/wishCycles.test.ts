/** Wishes made and taken back at random moments; `bench/wishes/cycles.ts` makes a thousand of them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { belongings, belongingsAfter } from './belongings.js';
import { answer } from './scene.js';
import { cycles } from './wishCycles.js';
import { Cluster, untilStatus, wishFor } from './wishScene.js';

const SIDE_BY_SIDE = 3;

/** For a model of one node, and of two, whose ranks meet through pipes and links of their own. */
const WORLDS = [
  { shards: 1, count: 9, longestMs: 1_500 },
  { shards: 2, count: 9, longestMs: 2_500 },
] as const;

describe('cycles of wishes', { concurrency: 2 }, () => {
  for (const { count, ...world } of WORLDS) {
    test(`R30, R47, R52: taken back at random moments, wishes over ${world.shards} leave no process, pipe, file or entry`, {
      timeout: 120_000,
    }, async (t) => {
      const cluster = new Cluster(t);
      const asked = await cluster.add('desk');
      const others = world.shards === 1 ? [] : [await cluster.add('shelf')];
      await cluster.group.agreed();
      const nodes = [asked, ...others] as const;
      // The first ones open what stays open.
      await cycles(nodes, { ...world, count: 2, sideBySide: 1, random: () => 0.9 });
      const before = await belongings(nodes);
      await cycles(nodes, { ...world, count, sideBySide: SIDE_BY_SIDE, random: Math.random });
      const after = await belongingsAfter(nodes, before);
      assert.equal(after.entries, 0);
      assert.equal(after.children, before.children);
      assert.equal(after.sideChannels, 0);
      assert.ok((after.pipes ?? 0) <= (before.pipes ?? 0), `${after.pipes} pipes after ${before.pipes}`);
      assert.ok(
        (after.openFiles ?? 0) <= (before.openFiles ?? 0),
        `${after.openFiles} after ${before.openFiles}`,
      );
      await untilStatus(asked, await wishFor(asked, { min_nodes: world.shards }), 'ready');
      assert.ok((await answer(asked)).length > 0);
    });
  }
});
