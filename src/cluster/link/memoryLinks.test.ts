import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testLinks } from './testing/linkCompliance.js';
import { MemoryNetwork } from './testing/memoryLinks.js';
import { until, Witness } from './testing/witness.js';

const network = new MemoryNetwork();

testLinks('in memory', async (context, { key, incarnation }) => {
  const links = network.join({ key, incarnation });
  context.after(() => links.close());
  return { nodeId: links.nodeId, links, address: links.address };
});

test('a network in memory can be cut, healed and broken', { timeout: 60_000 }, async (context) => {
  const [first, second] = [network.join(), network.join()];
  const [left, right] = [new Witness(first), new Witness(second)];
  context.after(() => {
    // What is closed while bytes stand still waits for them.
    network.heal(first, second);
    return Promise.all([first.close(), second.close()]);
  });
  first.dial(second.address);
  await until('they are linked', () => first.peers.size === 1 && second.peers.size === 1);
  network.cut(first, second);
  first.send(second.nodeId, 'under way');
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  assert.equal(right.messages.length, 0);
  network.heal(first, second);
  await until('it arrives', () => right.messages.length === 1);
  network.break(first, second);
  await until('both know', () => left.closings.length === 1 && right.closings.length === 1);
  await until('they are linked again', () => first.peers.size === 1 && second.peers.size === 1);
  network.cut(first, second);
  await until('silence ends the link', () => first.peers.size === 0 && second.peers.size === 0);
  assert.ok(left.closings.length >= 2 && right.closings.length >= 2);
  network.heal(first, second);
  await until('they are linked again', () => first.peers.size === 1 && second.peers.size === 1);
});
