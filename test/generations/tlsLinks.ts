/** Two nodes in this process with a real link between them. */
import { randomBytes } from 'node:crypto';
import type { TestContext } from 'node:test';
import { until } from '../../src/cluster/calls/testing/until.js';
import { TlsPeerLinks } from '../../src/cluster/link/tlsPeerLinks.js';
import { NodeKey } from '../../src/cluster/nodeKey.js';

export async function linkedPair(context: Pick<TestContext, 'after'>) {
  const clusterKey = randomBytes(32);
  const start = async (name: string) => {
    const key = NodeKey.make();
    const links = await TlsPeerLinks.start(
      { identity: { nodeId: key.nodeId, key, incarnation: 1 }, clusterKey, onNotice: () => undefined },
      { name, host: '127.0.0.1', port: 0 },
    );
    context.after(() => links.close());
    return { nodeId: key.nodeId, links };
  };
  const [here, there] = await Promise.all([start('here'), start('there')]);
  here.links.dial(`127.0.0.1:${there.links.port}`, { keep: true });
  await until('they are linked', () => here.links.peers.size === 1 && there.links.peers.size === 1);
  return { here, there };
}
