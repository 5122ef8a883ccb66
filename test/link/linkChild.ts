/** A node's links in a process of its own: `linkChild.js KEY CLUSTER_KEY INCARNATION PORT [ADDRESS …]`. It echoes
 * messages and streams, tells its port on stdout, and ends with its stdin. */

import { TlsPeerLinks } from '../../src/cluster/link/tlsPeerLinks.js';
import { NodeKey } from '../../src/cluster/nodeKey.js';

const [keyText = '', clusterKey = '', incarnation = '1', port = '0', ...addresses] = process.argv.slice(2);
const key = NodeKey.parse(keyText)!;
const links = await TlsPeerLinks.start(
  {
    identity: { nodeId: key.nodeId, key, incarnation: Number(incarnation) },
    clusterKey: Buffer.from(clusterKey, 'hex'),
    onNotice: () => undefined,
  },
  { name: 'child', host: '127.0.0.1', port: Number(port) },
);
links.serveStreams('echo', (_from, _head, stream) => stream.pipe(stream));
links.serveStreams('swallow', (_from, _head, stream) => stream.resume().on('end', () => stream.end('done')));
links.listen({
  opened: () => undefined,
  closed: () => undefined,
  received: (from, message) => links.send(from, message),
});
for (const address of addresses) links.dial(address, { keep: true });
process.stdout.write(`${links.port}\n`);
process.stdin.resume().on('end', () => process.exit(0));
