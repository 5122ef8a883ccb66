/** Nodes of one process for tests: the real core and shell, on links in memory and a disk in memory. */
import type { NodeFact } from '../control/state.js';
import type { NodeId } from '../shared/ids.js';
import { ClusterNode, type NodeStore } from './clusterNode.js';
import type { MemoryLinks, MemoryNetwork } from './link/testing/memoryLinks.js';
import { NodeKey } from './nodeKey.js';
import { FileControlStore } from './store/fileStore.js';
import { SimulatedDisk } from './store/testing/simulatedDisk.js';

export interface TestNode {
  readonly nodeId: NodeId;
  readonly links: MemoryLinks;
  readonly cluster: ClusterNode;
  readonly disk: SimulatedDisk;
  /** Ends as a killed process does: nobody is told but by the links that break. */
  kill(): Promise<void>;
}

/** Starts a node. A disk and a key of an earlier life make it that node again. */
export async function startTestNode(
  network: MemoryNetwork,
  { key = NodeKey.make(), disk = new SimulatedDisk(), incarnation = 1 } = {},
): Promise<TestNode> {
  const { nodeId } = key;
  const links = network.join({ key, incarnation });
  const store: NodeStore = new FileControlStore({ files: disk, notify: () => undefined });
  const node: NodeFact = {
    nodeId,
    name: `node ${nodeId}`,
    incarnation,
    addresses: [],
    memoryBytes: 1_000_000_000,
    isDraining: false,
    models: [],
  };
  const cluster = await ClusterNode.open({ links, store }, node);
  cluster.start();
  return {
    nodeId,
    links,
    cluster,
    disk,
    kill: async () => {
      cluster.stop();
      await links.close();
      await store.close();
    },
  };
}
