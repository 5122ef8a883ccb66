/**
 * Creates and takes back wishes at random moments, some with their runner killed in between, on one real node, and
 * shows what the node has at the beginning, on the way and at the end: processes, open files, pipes, entries of its
 * state, bytes on disk and in memory. The node must not crash, and must have at the end what it had at the beginning.
 *
 *   node dist/bench/wishes/cycles.js [cycles = 1000] [side by side = 4]
 */

import { type Belongings, belongings, cycles } from '../../test/cluster/wishCycles.js';
import { NodeProcess } from '../../test/support/nodeProcess.js';

const COUNT = Number(process.argv[2] ?? 1_000);
const SIDE_BY_SIDE = Number(process.argv[3] ?? 4);
const WARM_UP = 20;
const SAMPLES = 10;
const MIB = 1024 ** 2;

function row(
  done: number,
  { children, openFiles, pipes, entries, storedBytes, residentBytes }: Belongings,
): string {
  const kept = [done, children, openFiles, pipes, entries, (storedBytes / 1024).toFixed(0)];
  return [...kept, ((residentBytes ?? 0) / MIB).toFixed(0)].map((cell) => String(cell).padStart(9)).join('');
}

const node = await NodeProcess.start(
  '--failpoints',
  '--peer-host',
  '127.0.0.1',
  '--peer-port',
  '0',
  '--no-discovery',
);
try {
  const startedAt = performance.now();
  await cycles(node, { count: WARM_UP, sideBySide: SIDE_BY_SIDE, random: Math.random });
  const before = await belongings(node);
  console.log(
    ['cycles', 'children', 'files', 'pipes', 'entries', 'disk KiB', 'RSS MiB']
      .map((name) => name.padStart(9))
      .join(''),
  );
  console.log(row(0, before));
  const each = Math.ceil(COUNT / SAMPLES);
  for (let done = 0; done < COUNT; done += each) {
    const count = Math.min(each, COUNT - done);
    await cycles(node, { count, sideBySide: SIDE_BY_SIDE, random: Math.random });
    console.log(row(done + count, await belongings(node)));
  }
  const after = await belongings(node);
  const isClean =
    after.entries === 0 &&
    after.children === before.children &&
    (after.openFiles ?? 0) <= (before.openFiles ?? 0) + SIDE_BY_SIDE;
  const seconds = Math.round((performance.now() - startedAt) / 1_000);
  console.log(
    `${COUNT} cycles, ${SIDE_BY_SIDE} side by side, in ${seconds} s: ${isClean ? 'nothing is left' : 'SOMETHING IS LEFT'}`,
  );
  process.exitCode = isClean ? 0 : 1;
} finally {
  await node.stop();
}
