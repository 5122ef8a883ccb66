/** Starts `servingNode.ts` as a process of its own and links this one with it. */
import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { until } from '../../src/cluster/calls/testing/until.js';
import { TlsPeerLinks } from '../../src/cluster/link/tlsPeerLinks.js';
import { NodeKey } from '../../src/cluster/nodeKey.js';
import type { NodeId } from '../../src/shared/ids.js';

const ENTRY = fileURLToPath(new URL('./servingNode.js', import.meta.url));

/** @param tokenMs milliseconds between two tokens of an answer */
export async function startLinkedNode(tokenMs: number) {
  const clusterKey = randomBytes(32);
  const env = {
    ...process.env,
    SHOAL_BENCH_KEY: clusterKey.toString('hex'),
    SHOAL_TOKEN_MS: String(tokenMs),
  };
  const child = fork(ENTRY, { env, execArgv: [] });
  const [{ port, nodeId }] = (await once(child, 'message')) as [{ port: number; nodeId: NodeId }];
  const key = NodeKey.make();
  const links = await TlsPeerLinks.start(
    {
      identity: { nodeId: key.nodeId, key, incarnation: 1 },
      clusterKey,
      onNotice: (level, message) => (level === 'info' ? undefined : console.error(level, message)),
    },
    { name: 'asking', host: '127.0.0.1', port: 0 },
  );
  links.dial(`127.0.0.1:${port}`, { keep: true });
  await until('they are linked', () => links.peers.has(nodeId));
  return { child, links, nodeId };
}
