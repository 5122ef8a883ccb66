/** A node as far as discovery goes, in a process of its own: prints each address that it finds, as a line of JSON. */

import { MulticastDiscovery } from '../../src/cluster/discovery/multicastDiscovery.js';
import type { NodeId } from '../../src/shared/ids.js';

const [nodeId, key, linkPort] = process.argv.slice(2) as [NodeId, string, string];
const print = (line: object) => void process.stdout.write(`${JSON.stringify(line)}\n`);

const discovery = new MulticastDiscovery(
  {
    nodeId,
    clusterKey: Buffer.from(key, 'hex'),
    onNotice: (_level, notice) => print({ notice }),
  },
  { linkPort: Number(linkPort) },
);
await discovery.start((address, found) => print({ address, nodeId: found }));
print({ started: performance.now() });
process.stdin.resume();
process.stdin.on('close', () => process.exit(0));
