/**
 * Creates and takes back wishes at random moments, some with a runner killed in between, on one real node or spread over
 * several, and shows what the nodes have at the beginning, on the way and at the end: processes, open files, pipes,
 * side channels, entries of their state, bytes on disk and in memory. No node may crash, and all must have at the end what
 * they had at the beginning.
 *
 *   node dist/bench/wishes/cycles.js [cycles = 1000] [side by side = 4] [nodes that each model is spread over = 1]
 */
import { type Belongings, belongings, belongingsAfter } from '../../test/cluster/belongings.js';
import { cycles } from '../../test/cluster/wishCycles.js';
import { NodeGroup } from '../../test/support/nodeGroup.js';

const COUNT = Number(process.argv[2] ?? 1_000);
const SIDE_BY_SIDE = Number(process.argv[3] ?? 4);
const SHARDS = Number(process.argv[4] ?? 1);
const WARM_UP = 20;
const SAMPLES = 10;
/** Ranks meet before they load. */
const LONGEST_MS = SHARDS === 1 ? 1_500 : 3_000;
const MIB = 1024 ** 2;
const LOCAL = ['--failpoints', '--peer-host', '127.0.0.1', '--no-discovery'];

function row(done: number, belongs: Belongings): string {
  const { children, openFiles, pipes, sideChannels, entries, storedBytes, residentBytes } = belongs;
  const kept = [done, children, openFiles, pipes, sideChannels, entries, (storedBytes / 1024).toFixed(0)];
  return [...kept, ((residentBytes ?? 0) / MIB).toFixed(0)].map((cell) => String(cell).padStart(9)).join('');
}

const group = new NodeGroup();
try {
  const first = await group.add(null, ...LOCAL);
  for (let more = 1; more < SHARDS; more += 1) await group.add(null, ...LOCAL, '--peer', first.peerAddress);
  await group.agreed();
  const nodes = [first, ...group.nodes.slice(1)] as const;
  const run = (count: number) =>
    cycles(nodes, {
      count,
      sideBySide: SIDE_BY_SIDE,
      random: Math.random,
      shards: SHARDS,
      longestMs: LONGEST_MS,
    });
  const startedAt = performance.now();
  await run(WARM_UP);
  const before = await belongings(nodes);
  console.log(
    ['cycles', 'children', 'files', 'pipes', 'channels', 'entries', 'disk KiB', 'RSS MiB']
      .map((name) => name.padStart(9))
      .join(''),
  );
  console.log(row(0, before));
  const each = Math.ceil(COUNT / SAMPLES);
  for (let done = 0; done < COUNT; done += each) {
    const count = Math.min(each, COUNT - done);
    await run(count);
    console.log(row(done + count, await belongings(nodes)));
  }
  const after = await belongingsAfter(nodes, before);
  const isClean =
    after.entries === 0 &&
    after.children === before.children &&
    after.sideChannels === 0 &&
    (after.openFiles ?? 0) <= (before.openFiles ?? 0);
  const seconds = Math.round((performance.now() - startedAt) / 1_000);
  const what = `${COUNT} cycles over ${SHARDS}, ${SIDE_BY_SIDE} side by side, in ${seconds} s`;
  console.log(`${what}: ${isClean ? 'nothing is left' : 'SOMETHING IS LEFT'}`);
  process.exitCode = isClean ? 0 : 1;
} finally {
  await group.stop();
}
