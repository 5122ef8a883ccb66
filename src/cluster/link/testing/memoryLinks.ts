/**
 * Links between nodes of one process, for tests: the handshake, streams and dialling of the real ones, on connections
 * in memory that a test can cut, heal and break.
 */
import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { NodeId } from '../../../shared/ids.js';
import { LIMITS } from '../../../shared/limits.js';
import { NodeKey } from '../../nodeKey.js';
import { formatAddress, type HostAndPort, parseAddress } from '../addresses.js';
import type {
  DialOptions,
  LinkedPeer,
  PeerLinkListener,
  PeerLinks,
  StreamHandler,
  StreamHead,
} from '../contract.js';
import { Dialler, type DialOutcome } from '../dialler.js';
import { farewell } from '../farewell.js';
import { HandshakeError, type Introduction, shakeHands } from '../handshake.js';
import type { LinkRole } from '../hello.js';
import { LinkTable } from '../linkTable.js';
import { Notices, type OnNotice } from '../notices.js';
import { MemoryPipe } from './memoryPipe.js';

export interface MemoryNode {
  readonly key: NodeKey;
  /** @default 1 */
  readonly incarnation?: number;
  /** @default the first characters of its id */
  readonly name?: string;
  readonly onNotice?: OnNotice;
}

interface Cable {
  readonly nodes: readonly [MemoryLinks, MemoryLinks];
  readonly pipe: MemoryPipe;
}

/** What connects the nodes. Addresses are `memory:PORT`. */
export class MemoryNetwork {
  readonly #nodes = new Map<number, MemoryLinks>();
  readonly #cables = new Set<Cable>();
  readonly #cut = new Set<string>();
  #lastPort = 0;

  join(node: MemoryNode = { key: NodeKey.make() }): MemoryLinks {
    this.#lastPort += 1;
    const links = new MemoryLinks(this, this.#lastPort, node);
    this.#nodes.set(this.#lastPort, links);
    return links;
  }

  /** Bytes between the two stand still and nobody is told, until `heal`. New connections fail. */
  cut(first: MemoryLinks, second: MemoryLinks): void {
    this.#cut.add(pairOf(first, second));
    for (const { pipe } of this.#between(first, second)) pipe.stall();
  }

  heal(first: MemoryLinks, second: MemoryLinks): void {
    this.#cut.delete(pairOf(first, second));
    for (const { pipe } of this.#between(first, second)) pipe.resume();
  }

  /** Ends the connections between the two as the death of a process does; they may connect again. */
  break(first: MemoryLinks, second: MemoryLinks): void {
    for (const { pipe } of this.#between(first, second)) pipe.break();
  }

  /** @returns the dialler's end, or null when nobody is there */
  connect(from: MemoryLinks, port: number): Duplex | null {
    const to = this.#nodes.get(port);
    if (to === undefined || this.#cut.has(pairOf(from, to))) return null;
    const pipe = new MemoryPipe();
    const [near, far] = pipe.ends;
    const cable: Cable = { nodes: [from, to], pipe };
    this.#cables.add(cable);
    near.once('close', () => this.#cables.delete(cable));
    void to.welcome(far, from);
    return near;
  }

  leave(node: MemoryLinks): void {
    this.#nodes.delete(node.port);
  }

  #between(first: MemoryLinks, second: MemoryLinks): Cable[] {
    return [...this.#cables].filter(({ nodes }) => nodes.includes(first) && nodes.includes(second));
  }
}

export class MemoryLinks implements PeerLinks {
  readonly nodeId: NodeId;
  readonly port: number;
  readonly #network: MemoryNetwork;
  readonly #node: MemoryNode;
  readonly #bootId = randomBytes(8).toString('hex');
  readonly #table: LinkTable;
  readonly #dialler: Dialler;
  readonly #ends = new Map<Duplex, Promise<void>>();
  #decisions = 0;
  #isClosed = false;

  /** Use `MemoryNetwork.join`. */
  constructor(network: MemoryNetwork, port: number, node: MemoryNode) {
    this.#network = network;
    this.port = port;
    this.#node = node;
    this.nodeId = node.key.nodeId;
    this.#table = new LinkTable({
      notices: new Notices(node.onNotice ?? (() => undefined)),
      onLost: ({ nodeId }) => this.#dialler.linkLost(nodeId),
    });
    this.#dialler = new Dialler({
      connect: (address) => this.#connect(address),
      isLinked: (nodeId) => this.#table.links.has(nodeId),
    });
  }

  get address(): string {
    return formatAddress({ host: 'memory', port: this.port });
  }

  get peers(): ReadonlyMap<NodeId, LinkedPeer> {
    return this.#table.links;
  }

  listen(listener: PeerLinkListener): void {
    this.#table.listen(listener);
  }

  send(to: NodeId, message: unknown): void {
    this.#table.send(to, message);
  }

  openStream(to: NodeId, kind: string, head: StreamHead, signal: AbortSignal): Promise<Duplex> {
    return this.#table.openStream(to, kind, head, signal);
  }

  serveStreams(kind: string, handler: StreamHandler): void {
    this.#table.serveStreams(kind, handler);
  }

  dial(address: string, { keep = false }: DialOptions = {}): void {
    this.#dialler.dial(parseAddress(address), keep);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#network.leave(this);
    this.#dialler.close();
    this.#table.closeAll(farewell('stopping'));
    await Promise.all(this.#ends.values());
  }

  /** A connection from another node of the network. */
  async welcome(end: Duplex, from: MemoryLinks): Promise<void> {
    await this.#introduce(end, from.port, 'listener');
  }

  async #connect({ port }: HostAndPort): Promise<DialOutcome> {
    const end = this.#network.connect(this, port);
    return end === null ? { nodeId: null, isSelf: false } : await this.#introduce(end, port, 'dialler');
  }

  async #introduce(end: Duplex, port: number, role: LinkRole): Promise<DialOutcome> {
    end.on('error', () => undefined);
    const ended = new Promise<void>((resolve) => end.once('close', () => resolve()));
    this.#ends.set(
      end,
      ended.then(() => void this.#ends.delete(end)),
    );
    try {
      const peer = await shakeHands(
        { transport: end, role, keyingMaterial: Buffer.from('the same for all connections in memory') },
        {
          key: this.#node.key,
          hello: () => ({
            nodeId: this.nodeId,
            name: this.#node.name ?? this.nodeId.slice(0, 6),
            incarnation: this.#node.incarnation ?? 1,
            bootId: this.#bootId,
            clockMs: Date.now(),
            port: this.port,
          }),
          present: ({ nodeId }) => this.#table.links.get(nodeId) ?? null,
          isFull: () => this.#isClosed || this.#table.links.size >= LIMITS.peers,
          nextDecision: () => {
            this.#decisions += 1;
            return this.#decisions;
          },
          open: (introduction) => this.#open(end, introduction, role, port),
        },
      );
      return { nodeId: peer.nodeId, isSelf: false };
    } catch (error) {
      if (!(error instanceof HandshakeError)) throw error;
      const nodeId = error.peer?.nodeId ?? null;
      return nodeId === this.nodeId ? { nodeId: null, isSelf: true } : { nodeId, isSelf: false };
    }
  }

  #open(end: Duplex, { peer, reader, decision }: Introduction, role: LinkRole, port: number): void {
    const where = { host: 'memory', port };
    const address = formatAddress(where);
    this.#table.add({
      peer: { ...peer, address, localAddress: null },
      transport: end,
      reader,
      isDialler: role === 'dialler',
      decision,
    });
    this.#dialler.learn(where, peer.nodeId);
  }
}

function pairOf(first: MemoryLinks, second: MemoryLinks): string {
  return `${Math.min(first.port, second.port)} ${Math.max(first.port, second.port)}`;
}
