/** Wishes made and taken back at random moments; `bench/wishes/cycles.ts` makes a thousand of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answer } from './scene.js';
import { belongings, cycles } from './wishCycles.js';
import { Cluster, untilStatus, wishFor } from './wishScene.js';

const CYCLES = 12;
const SIDE_BY_SIDE = 3;

test('R30, R47, R52: wishes that are taken back at random moments leave no process, no pipe, no file and no entry', {
  timeout: 120_000,
}, async (t) => {
  const cluster = new Cluster(t);
  const node = await cluster.add('desk');
  // The first ones open what stays open.
  await cycles(node, { count: 2, sideBySide: 1, random: () => 0.9 });
  const before = await belongings(node);
  await cycles(node, { count: CYCLES, sideBySide: SIDE_BY_SIDE, random: Math.random });
  const after = await belongings(node);
  assert.equal(after.entries, 0);
  assert.equal(after.children, before.children);
  // Connections of this test itself may be open in other numbers.
  const spare = SIDE_BY_SIDE + 1;
  assert.ok((after.pipes ?? 0) <= (before.pipes ?? 0) + spare, `${after.pipes} pipes after ${before.pipes}`);
  assert.ok((after.openFiles ?? 0) <= (before.openFiles ?? 0) + spare, 'no file stays open');
  await untilStatus(node, await wishFor(node), 'ready');
  assert.ok((await answer(node)).length > 0);
});
