/**
 * How evenly requests that reach all nodes at once spread over the instances: the greatest difference between two
 * instances in any round.
 *
 *   node dist/bench/cluster/bursts.js [rounds = 5]
 */
import { burst, startServing } from '../../test/cluster/burst.js';
import { NodeGroup } from '../../test/support/nodeGroup.js';

const ROUNDS = Number(process.argv[2] ?? 5);
const SIZES = [4, 7, 8, 16, 31, 32, 64];

console.log(
  `${ROUNDS} rounds each; requests of each instance in the last round, and the greatest difference in any\n`,
);
console.log('| instances | requests at once | last round | difference |\n|---|---|---|---|');
for (const instances of [2, 3]) {
  const group = new NodeGroup();
  try {
    await startServing(group, instances);
    for (const size of SIZES) {
      let difference = 0;
      let counts: number[] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        counts = await burst(group, size);
        difference = Math.max(difference, Math.max(...counts) - Math.min(...counts));
      }
      console.log(`| ${instances} | ${size} | ${counts.join(', ')} | ${difference} |`);
    }
  } finally {
    await group.stop();
  }
}
