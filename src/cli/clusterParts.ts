/** Makes what a node needs to be one of a cluster: its key and id, its links, its store, and its part in the protocol. */
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { keepClusterKey, loadClusterKey } from '../cluster/clusterKey.js';
import { ClusterNode, type NodeStore, type StoredTerm } from '../cluster/clusterNode.js';
import type { Discovery } from '../cluster/discovery/contract.js';
import { MulticastDiscovery } from '../cluster/discovery/multicastDiscovery.js';
import { RememberedPeers } from '../cluster/discovery/rememberedPeers.js';
import { lockHome } from '../cluster/homeLock.js';
import { loadIdentity, type NodeIdentity } from '../cluster/identity.js';
import { formatAddress } from '../cluster/link/addresses.js';
import type { OnNotice } from '../cluster/link/notices.js';
import { TlsPeerLinks } from '../cluster/link/tlsPeerLinks.js';
import { makeHome } from '../cluster/privateFiles.js';
import { FailpointFiles } from '../cluster/store/failpointFiles.js';
import { FileControlStore } from '../cluster/store/fileStore.js';
import { FolderFiles, type StoreFiles } from '../cluster/store/storeFiles.js';
import type { Entry } from '../control/cluster/messages.js';
import type { Snapshot } from '../control/cluster/snapshot.js';
import type { NodeFact } from '../control/state.js';
import type { Failpoint } from '../shared/failpoints.js';
import type { ModelId } from '../shared/ids.js';
import { LIMITS } from '../shared/limits.js';
import type { Closers } from './closers.js';
import { readNodeMemory } from './nodeMemory.js';
import type { UpOptions } from './upOptions.js';

export interface ClusterParts {
  readonly identity: NodeIdentity;
  readonly clusterKey: Buffer;
  readonly links: TlsPeerLinks;
  readonly cluster: ClusterNode;
  /** What this node says of itself. */
  readonly node: NodeFact;
  /** Causes a fault of the store. False when it is none. */
  readonly failStore: (failpoint: Failpoint) => boolean;
}

/** @throws {ShoalError} when the home cannot be used, the token is another cluster's, or the port is taken */
export async function openCluster(
  options: UpOptions,
  models: readonly ModelId[],
  log: Logger,
  closers: Closers,
): Promise<ClusterParts> {
  const { home } = options;
  makeHome(home);
  closers.add(await lockHome(home));
  const identity = loadIdentity(home);
  const clusterKey = loadClusterKey(home, options.token);
  const links = await startLinks(options, { identity, clusterKey }, log);
  closers.add(() => links.close());
  const node: NodeFact = {
    nodeId: identity.nodeId,
    name: options.name,
    incarnation: identity.incarnation,
    addresses: ownAddresses(options.peerHost, links.port),
    memoryBytes: options.worker ? (options.memory ?? readNodeMemory().availableBytes) : 0,
    isDraining: false,
    models,
  };
  const folder: StoreFiles = new FolderFiles(join(home, 'control'));
  const faulty = options.failpoints ? new FailpointFiles(folder) : null;
  const store: NodeStore = new FileControlStore<Entry, Snapshot, StoredTerm>({
    files: faulty ?? folder,
    notify: noticesTo(log),
  });
  const cluster = await ClusterNode.open({ links, store }, node);
  closers.add(() => store.close());
  return {
    identity,
    clusterKey,
    links,
    cluster,
    node,
    failStore: (failpoint) => faulty?.trigger(failpoint) ?? false,
  };
}

/** Without a wish for a port, a second node on the same machine takes any free one. */
async function startLinks(
  { name, peerHost, peerPort }: UpOptions,
  secrets: { readonly identity: NodeIdentity; readonly clusterKey: Buffer },
  log: Logger,
): Promise<TlsPeerLinks> {
  const components = { ...secrets, onNotice: noticesTo(log) };
  if (peerPort !== null) return TlsPeerLinks.start(components, { name, host: peerHost, port: peerPort });
  try {
    return await TlsPeerLinks.start(components, { name, host: peerHost });
  } catch (error) {
    // The port may be taken; when any other fails too, it is the address, and the first error says so.
    return TlsPeerLinks.start(components, { name, host: peerHost, port: 0 }).catch(() => {
      throw error;
    });
  }
}

const ALL_ADDRESSES: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** Where others reach this node: addresses that only this machine knows are of use when it has no others. */
function ownAddresses(peerHost: string | null, port: number): string[] {
  if (peerHost !== null && !ALL_ADDRESSES.has(peerHost)) return [formatAddress({ host: peerHost, port })];
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const outward = all.filter(({ internal, scopeid }) => !internal && !scopeid);
  const hosts = (outward.length > 0 ? outward : all.filter(({ scopeid }) => !scopeid)).map(
    ({ address }) => address,
  );
  // Other nodes take no more.
  return hosts.slice(0, LIMITS.addressesPerNode).map((host) => formatAddress({ host, port }));
}

/**
 * Looks for the others: those that announce themselves, those that were met before, those that a person named, and
 * those that the state knows, so that all are linked with all.
 */
export async function meetOthers(
  { cluster, links, node, clusterKey }: ClusterParts,
  { home, peer, discovery }: UpOptions,
  log: Logger,
  closers: Closers,
): Promise<void> {
  const onNotice = noticesTo(log);
  const remembered = new RememberedPeers({ files: new FolderFiles(home), onNotice });
  const ways: Discovery[] = [remembered];
  if (discovery) {
    ways.push(
      new MulticastDiscovery({ nodeId: node.nodeId, clusterKey, onNotice }, { linkPort: links.port }),
    );
  }
  const dialAll = () => {
    for (const { nodeId, addresses } of cluster.state.nodes.values()) {
      if (nodeId === node.nodeId || links.peers.has(nodeId)) continue;
      for (const address of addresses) links.dial(address);
    }
  };
  let hasMet = false;
  cluster.listen({
    applied: ({ event }) => {
      if (event.kind === 'NodeJoined') dialAll();
      if (event.kind === 'NodeForgotten') remembered.forget(event.nodeId);
    },
    replaced: dialAll,
    peerLinked: ({ nodeId, address }) => {
      remembered.remember(nodeId, address);
      if (!hasMet) keepClusterKey(home);
      hasMet = true;
    },
  });
  for (const address of peer) links.dial(address, { keep: true });
  dialAll();
  for (const way of ways) {
    closers.add(() => way.close());
    await way.start((address, nodeId) => {
      if (nodeId === null || !links.peers.has(nodeId)) links.dial(address);
    });
  }
}

function noticesTo(log: Logger): OnNotice {
  return (level, message, fields) => log[level](fields, message);
}
