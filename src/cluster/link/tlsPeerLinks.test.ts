import { randomBytes } from 'node:crypto';
import { testLinks } from './testing/linkCompliance.js';
import { TlsPeerLinks } from './tlsPeerLinks.js';

const clusterKey = randomBytes(32);

for (const [host, written] of [
  ['127.0.0.1', '127.0.0.1'],
  ['::1', '[::1]'],
] as const) {
  testLinks(`TLS on ${host}`, async (context, { key, incarnation }) => {
    const links = await TlsPeerLinks.start(
      { identity: { nodeId: key.nodeId, key, incarnation }, clusterKey, onNotice: () => undefined },
      { name: 'node', host, port: 0 },
    );
    context.after(() => links.close());
    return { nodeId: key.nodeId, links, address: `${written}:${links.port}` };
  });
}
