/** What the tests of models over several nodes have in common. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeProcess } from '../support/nodeProcess.js';
import { post } from './scene.js';
import { type Shown, untilWish, type Wish } from './wishScene.js';

/** Waits until all ranks of a wish are ready, at that attempt or a later one. */
export function untilServed(node: NodeProcess, id: string, leastAttempt = 1): Promise<Shown> {
  return untilWish(
    node,
    id,
    `served at attempt ${leastAttempt}`,
    ({ wish, instance, state }) =>
      wish.status === 'ready' &&
      (instance?.attempt ?? 0) >= leastAttempt &&
      (instance?.shards ?? []).every(({ runner_id: id }) => isServing(state.runners[id]?.status)),
  );
}

const isServing = (status: string | undefined): boolean => status === 'ready' || status === 'running';

/** The newest failure of a wish, once there are so many. */
export async function untilFailure(
  node: NodeProcess,
  id: string,
  count: number,
): Promise<Wish['errors'][number]> {
  const { wish } = await untilWish(node, id, `failed ${count} times`, (shown) => {
    assert.ok(shown.wish.errors.length <= count, `counted twice: ${JSON.stringify(shown.wish.errors)}`);
    return shown.wish.errors.length === count;
  });
  return wish.errors.at(-1) ?? assert.fail('no failure');
}

/** The processes of a wish's runners, in the order of their ranks. */
export function pidsOf({ instance, state }: Shown): number[] {
  return (instance?.shards ?? []).map(
    ({ runner_id: id }) => state.runners[id]?.pid ?? assert.fail(`${id} has no process`),
  );
}

export const rankOn = ({ instance }: Shown, rank: number): string => instance?.shards[rank]?.node_id ?? '';

/** Waits until side channels have left nothing in the home of a node. */
export async function untilNoPipes(node: NodeProcess): Promise<void> {
  await node.until('without pipes', () => leftOf(node).length === 0);
}

function leftOf({ home }: NodeProcess): string[] {
  try {
    return readdirSync(join(home, 'side-channels'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Runners that start from now on stay in that phase; all go on without one. */
export async function hold(nodes: readonly NodeProcess[], arg?: string): Promise<void> {
  for (const node of nodes) {
    const armed = await post(node, '/debug/failpoints', { name: 'runner.hold', arg });
    assert.equal(armed.status, 200, await armed.text());
  }
}

/** A wish for the model over two nodes; its runner of that rank is held in that phase, and the other waits for it. */
export function untilHeld(node: NodeProcess, id: string, rank: number, phase: string): Promise<Shown> {
  return untilWish(node, id, `rank ${rank} held while ${phase}`, ({ instance, state }) => {
    const runners = (instance?.shards ?? []).map(({ runner_id: runnerId }) => state.runners[runnerId]);
    const areThere = runners.length === 2 && runners.every((runner) => runner?.pid != null);
    return areThere && runners[rank]?.status === phase;
  });
}
