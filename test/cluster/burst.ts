/** Many requests at once, to all nodes of a group in turn, and where they went. */
import assert from 'node:assert/strict';
import type { NodeGroup } from '../support/nodeGroup.js';
import type { NodeProcess } from '../support/nodeProcess.js';
import { MODEL, post } from './scene.js';

/** Long enough that none ends before the last is placed, by waiting instead of computing. */
const BODY = { model: MODEL, prompt: 'Once upon a time', max_tokens: 16, ignore_eos: true };
const SLOWLY = { 'x-shoal-failpoint': 'runner.slow_token=60' };

/** Starts a node for each instance, all on this machine and linked with each other. */
export async function startServing(group: NodeGroup, instances: number): Promise<void> {
  for (let i = 0; i < instances; i += 1) {
    const [first] = group.nodes;
    const peer = first === undefined ? [] : ['--peer', first.peerAddress];
    const local = ['--peer-host', '127.0.0.1', '--no-discovery', '--failpoints'];
    await group.add(null, ...local, '--serve', MODEL, ...peer);
  }
  await group.agreed();
  await group.ready(instances);
}

/**
 * Sends so many requests at once, and waits until no node has one left.
 * @returns how many each instance served, the idle ones included
 */
export async function burst({ nodes }: NodeGroup, size: number): Promise<number[]> {
  const served = await Promise.all(
    Array.from({ length: size }, (_, turn) => ask(nodes[turn % nodes.length] as NodeProcess)),
  );
  const counts = new Map<string, number>();
  for (const instance of served) counts.set(instance, (counts.get(instance) ?? 0) + 1);
  for (const node of nodes) {
    await node.until('idle', ({ tasks }) => Object.values(tasks).every(({ status }) => status !== 'running'));
  }
  return nodes.map((_, place) => [...counts.values()][place] ?? 0);
}

/** Which instance served it. */
async function ask(node: NodeProcess): Promise<string> {
  const answer = await post(node, '/v1/completions', BODY, SLOWLY);
  assert.equal(answer.status, 200, await answer.text());
  return answer.headers.get('x-instance-id') ?? '';
}
