/**
 * A cluster whose nodes are all killed at once while a wish is served, and started again without a word about models:
 * the time from the start until the wish is served, by what the first node shows, and until a request is answered.
 *
 *   node dist/bench/wishes/powerCut.js [rounds = 5] [nodes = 2]
 *
 * The wish asks for as many nodes as there are where the model can be cut over them; where it cannot, for one.
 */

import { answer } from '../../test/cluster/scene.js';
import { untilStatus, wishFor } from '../../test/cluster/wishScene.js';
import { NodeGroup } from '../../test/support/nodeGroup.js';
import type { NodeProcess } from '../../test/support/nodeProcess.js';
import { percentile } from '../api/measure.js';

const ROUNDS = Number(process.argv[2] ?? 5);
const NODES = Number(process.argv[3] ?? 2);
const LOCAL = ['--peer-host', '127.0.0.1', '--no-discovery'];

const group = new NodeGroup();
const peersOf = (nodes: readonly NodeProcess[]) =>
  nodes.flatMap(({ peerAddress }) => ['--peer', peerAddress]);

/** The wish, and over how many nodes it was made. */
async function declare(node: NodeProcess): Promise<string> {
  try {
    return await wishFor(node, { min_nodes: NODES });
  } catch (error) {
    console.log(`on one node, since over ${NODES} it is refused: ${(error as Error).message.slice(0, 200)}`);
    return wishFor(node);
  }
}

try {
  for (let at = 0; at < NODES; at += 1) await group.add(null, ...LOCAL, ...peersOf(group.nodes.slice(0, 1)));
  await group.agreed();
  const [first] = group.nodes as [NodeProcess];
  const id = await declare(first);
  const shown = await untilStatus(first, id, 'ready');
  console.log(`served by ${shown.instance?.shards.length} of ${NODES} nodes`);
  const text = await answer(first);
  const servedMs: number[] = [];
  const answeredMs: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const node of group.nodes) node.child.kill('SIGKILL');
    await Promise.all(group.nodes.map(({ exited }) => exited));
    const startedAt = performance.now();
    const before = [...group.nodes];
    await group.restart(before[0] as NodeProcess, null, ...LOCAL);
    const peer = peersOf(group.nodes.slice(0, 1));
    await Promise.all(before.slice(1).map((node) => group.restart(node, null, ...LOCAL, ...peer)));
    const [again] = group.nodes as [NodeProcess];
    await untilStatus(again, id, 'ready');
    servedMs.push(performance.now() - startedAt);
    const answered = await answer(again);
    answeredMs.push(performance.now() - startedAt);
    if (answered !== text) throw new Error(`another answer than before: ${answered}`);
  }
  const show = (values: readonly number[]) =>
    `p50 ${percentile(values, 0.5).toFixed(0)}, max ${Math.max(...values).toFixed(0)} ms`;
  console.log(`${ROUNDS} power cuts of ${NODES} nodes, from the start of the first process`);
  console.log(`until the wish is served: ${show(servedMs)}`);
  console.log(`until a request is answered: ${show(answeredMs)}`);
} finally {
  await group.stop();
}
