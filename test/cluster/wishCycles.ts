/** Wishes that are made and taken back at random moments, one after the other and side by side. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeProcess } from '../support/nodeProcess.js';
import { childrenOf } from './belongings.js';
import { remove, untilNothingLeft, wishFor } from './wishScene.js';

/** Small, so that it is the starting and stopping that takes the time. */
const SHAPE = { context_length: 512, max_sequences: 1 };
const LONGEST_MS = 1_500;
const KILLED = 0.2;
const LOOK_AGAIN_MS = 50;
const ENDED_LIMIT_MS = 30_000;

export interface CyclesPlan {
  readonly count: number;
  readonly sideBySide: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Nodes that each model is spread over. @default 1 */
  readonly shards?: number;
  /** From before there is a process to when it has served for a while. @default 1.5 s */
  readonly longestMs?: number;
}

/**
 * @param nodes of one cluster; the first one is asked
 * @param onCycle is told how many are done
 */
export async function cycles(
  nodes: readonly [NodeProcess, ...NodeProcess[]],
  plan: CyclesPlan,
  onCycle: (done: number) => void = () => undefined,
): Promise<void> {
  let begun = 0;
  let done = 0;
  const turn = async (): Promise<void> => {
    while (begun < plan.count) {
      begun += 1;
      await cycle(nodes[0], plan);
      done += 1;
      onCycle(done);
    }
  };
  await Promise.all(Array.from({ length: plan.sideBySide }, turn));
  await untilNothingLeft(nodes, '');
  const deadline = Date.now() + ENDED_LIMIT_MS;
  const left = () => nodes.reduce((sum, node) => sum + (childrenOf(node) ?? 0), 0);
  while (left() > 0) {
    if (Date.now() > deadline) throw new Error(`${left()} processes are left`);
    await sleep(LOOK_AGAIN_MS);
  }
}

/** Makes a wish, waits, kills one of its runners now and then, and takes the wish back wherever it is by then. */
async function cycle(
  node: NodeProcess,
  { random, shards = 1, longestMs = LONGEST_MS }: CyclesPlan,
): Promise<void> {
  const id = await wishFor(node, { ...SHAPE, min_nodes: shards });
  await sleep(random() * longestMs);
  if (random() < KILLED) {
    const { runners } = await node.state();
    const pids = Object.entries(runners).flatMap(([runnerId, { pid }]) =>
      runnerId.startsWith(id) && pid !== null ? [pid] : [],
    );
    const pid = pids[Math.floor(random() * pids.length)];
    if (pid !== undefined) kill(pid);
  }
  await remove(node, id);
}

/** It may have ended by itself. */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
