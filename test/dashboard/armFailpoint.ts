import assert from 'node:assert/strict';
import type { NodeProcess } from '../support/nodeProcess.js';

/** The runners of a node that takes failpoints do this from now on. */
export async function armFailpoint(node: NodeProcess, name: string): Promise<void> {
  const answer = await fetch(`${node.url}/debug/failpoints`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name }),
  });
  assert.equal(answer.status, 200, await answer.text());
}
