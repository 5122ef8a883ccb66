/** A process that serves generations over the links that nodes have; the parent gives it the cluster key, in hex. */
import { GenerationServer } from '../../src/cluster/generations/generationServer.js';
import { TlsPeerLinks } from '../../src/cluster/link/tlsPeerLinks.js';
import { NodeKey } from '../../src/cluster/nodeKey.js';
import { produceTokens } from '../../test/generations/tokenProducer.js';

const key = NodeKey.make();
const links = await TlsPeerLinks.start(
  {
    identity: { nodeId: key.nodeId, key, incarnation: 1 },
    clusterKey: Buffer.from(process.env.SHOAL_BENCH_KEY ?? '', 'hex'),
    onNotice: (level, message) => (level === 'info' ? undefined : console.error(level, message)),
  },
  { name: 'serving', host: '127.0.0.1', port: 0 },
);
const tokenMs = Number(process.env.SHOAL_TOKEN_MS);
new GenerationServer({ links, generate: (_, request) => produceTokens(request, tokenMs) });
process.on('disconnect', () => process.exit());
process.send?.({ port: links.port, nodeId: key.nodeId });
