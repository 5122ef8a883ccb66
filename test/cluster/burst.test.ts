/** Many requests at once, to all nodes of a cluster: the instances share them evenly. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NodeGroup } from '../support/nodeGroup.js';
import { burst, startServing } from './burst.js';

for (const instances of [2, 3]) {
  test(`R13, R14, R15: bursts over ${instances} instances, sent to all nodes at once, differ by one at most`, {
    timeout: 180_000,
  }, async (t) => {
    const group = new NodeGroup();
    t.after(() => group.stop());
    await startServing(group, instances);
    for (const size of [4, 7, 16, 33, 64]) {
      const counts = await burst(group, size);
      assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, `${size}: ${counts}`);
    }
  });
}
