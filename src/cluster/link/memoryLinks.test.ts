import { testLinks } from './testing/linkCompliance.js';
import { MemoryNetwork } from './testing/memoryLinks.js';

const network = new MemoryNetwork();

testLinks('in memory', async (context, { key, incarnation }) => {
  const links = network.join({ key, incarnation });
  context.after(() => links.close());
  return { nodeId: links.nodeId, links, address: links.address };
});
