/**
 * What sums over all ranks and single tensors cost, for rings and meshes of 2 and 4 ranks, encrypted and in the open.
 * Each rank is a process of its own on loopback. `node dist/bench/collective/run.js [ROUNDS [KIB …]]`.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Encryption } from '../../src/collective/connect/encryption.js';
import type { Measured, RankTask } from './rank.js';

const CHILD = fileURLToPath(new URL('./rank.js', import.meta.url));
const [rounds = 2_000, ...sizes] = process.argv.slice(2).map(Number);
const sumBytes = (sizes.length > 0 ? sizes : [8, 64]).map((kib) => kib * 1024);

console.log(
  `load ${loadavg()[0]!.toFixed(1)}\n\n| ranks | shape | connection | what | p50 µs | p99 µs | processor µs |\n|---|---|---|---|---|---|---|`,
);
for (const worldSize of [2, 4]) {
  for (const shape of ['bare', 'mesh', 'ring'] as const) {
    if (shape === 'bare' && worldSize > 2) continue;
    for (const encryption of ['tls', 'none'] as const) {
      const tensorBytes = worldSize === 2 && shape === 'mesh' ? [4 * 1024, 16 * 1024] : [];
      for (const { what, timesUs, cpuUs } of await measureWorld(worldSize, shape, encryption, tensorBytes)) {
        const at = (share: number) => timesUs[Math.floor(timesUs.length * share)]!.toFixed(0);
        const connection = encryption === 'tls' ? 'TLS' : 'open';
        console.log(
          `| ${worldSize} | ${shape} | ${connection} | ${what} | ${at(0.5)} | ${at(0.99)} | ${cpuUs.toFixed(0)} |`,
        );
      }
    }
  }
}

async function measureWorld(
  worldSize: number,
  shape: RankTask['shape'],
  encryption: Encryption,
  tensorBytes: readonly number[],
): Promise<readonly Measured[]> {
  const secret = randomBytes(32).toString('hex');
  const children = Array.from({ length: worldSize }, (_, rank) => {
    const task: RankTask = { rank, worldSize, shape, encryption, secret, sumBytes, tensorBytes, rounds };
    return fork(CHILD, [JSON.stringify(task)]);
  });
  try {
    const blobs = await Promise.all(children.map(nextBlob));
    const results = children.map(nextResults);
    for (const child of children) child.send(blobs);
    return (await Promise.all(results))[0]!;
  } finally {
    for (const child of children) child.disconnect();
    await Promise.all(children.map((child) => once(child, 'exit')));
  }
}

async function nextBlob(child: ChildProcess): Promise<string> {
  const [{ blob }] = (await once(child, 'message')) as [{ blob: string }];
  return blob;
}

async function nextResults(child: ChildProcess): Promise<readonly Measured[]> {
  const [{ results }] = (await once(child, 'message')) as [{ results: readonly Measured[] }];
  return results;
}
