/** Many requests at once, to all nodes of a cluster: the instances share them evenly. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NodeGroup } from '../support/nodeGroup.js';
import { burst, startServing } from './burst.js';

const MOST_TRIES = 5;

/** How often a node has suspected another so far, by what they wrote down. */
const suspicions = ({ nodes }: NodeGroup): number =>
  nodes.reduce((sum, node) => sum + node.log().split('"status":"suspect"').length - 1, 0);

/** A node that is late for a moment, on a busy machine, gets no request in that moment: such a burst is sent again. */
async function undisturbedBurst(group: NodeGroup, size: number): Promise<number[]> {
  for (let tries = 1; ; tries += 1) {
    const before = suspicions(group);
    const counts = await burst(group, size);
    if (suspicions(group) === before || tries === MOST_TRIES) return counts;
  }
}

for (const instances of [2, 3]) {
  test(`R13, R14, R15: bursts over ${instances} instances, sent to all nodes at once, differ by one at most`, {
    timeout: 180_000,
  }, async (t) => {
    const group = new NodeGroup();
    t.after(() => group.stop());
    await startServing(group, instances);
    for (const size of [4, 7, 16, 33, 64]) {
      const counts = await undisturbedBurst(group, size);
      assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, `${size}: ${counts}`);
    }
  });
}
