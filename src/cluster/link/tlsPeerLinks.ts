/**
 * The links of a node over encrypted TCP connections: it listens, it dials, and what proves to be a member of the
 * cluster becomes a link.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { NodeId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import type { NodeIdentity } from '../identity.js';
import { formatAddress, type HostAndPort, parseAddress } from './addresses.js';
import type {
  DialOptions,
  LinkedPeer,
  PeerLinkListener,
  PeerLinks,
  StreamHandler,
  StreamHead,
} from './contract.js';
import { Dialler, type DialOutcome } from './dialler.js';
import { type Farewell, farewell } from './farewell.js';
import { HandshakeError, type Introduction, shakeHands } from './handshake.js';
import { cleanName, type Hello, type LinkRole } from './hello.js';
import { type OtherEnd, tellClockSkew, tellConnectionFailure, tellHandshakeFailure } from './linkNotices.js';
import { LinkTable } from './linkTable.js';
import { Listener, remoteOf } from './listener.js';
import { Notices, type OnNotice } from './notices.js';
import { dialTls, keyingMaterialOf, type LinkSecret, linkSecret } from './tlsTransport.js';

export const DEFAULT_PEER_PORT = 52_416;

export interface TlsPeerLinksComponents {
  readonly identity: NodeIdentity;
  /** 32 bytes. */
  readonly clusterKey: Buffer;
  /** Hears what the people who run this node should know. */
  readonly onNotice: OnNotice;
  /** Wall clock in milliseconds. @default Date.now */
  readonly now?: () => number;
}

export interface TlsPeerLinksOptions {
  /** Name of this node, for people. */
  readonly name: string;
  /** Address to listen on; null = all, IPv4 and IPv6. @default null */
  readonly host?: string | null;
  /** 0 takes any free one. @default 52416 */
  readonly port?: number;
}

export class TlsPeerLinks implements PeerLinks {
  readonly #identity: NodeIdentity;
  readonly #secret: LinkSecret;
  readonly #notices: Notices;
  readonly #now: () => number;
  readonly #name: string;
  readonly #bootId = randomBytes(16).toString('hex');
  readonly #table: LinkTable;
  readonly #dialler: Dialler;
  /** Everything that is a connection, whatever its state, and its end. */
  readonly #sockets = new Map<TLSSocket, Promise<void>>();
  /** Nodes that a failpoint keeps apart from this one. */
  readonly #dropped = new Set<NodeId>();
  #listener: Listener | null = null;
  #decisions = 0;
  #isClosed = false;

  private constructor(components: TlsPeerLinksComponents, { name }: TlsPeerLinksOptions) {
    this.#identity = components.identity;
    this.#secret = linkSecret(components.clusterKey);
    this.#notices = new Notices(components.onNotice);
    this.#now = components.now ?? Date.now;
    this.#name = cleanName(name);
    this.#table = new LinkTable({
      notices: this.#notices,
      onLost: (peer, reason) => this.#lost(peer, reason),
    });
    this.#dialler = new Dialler({
      connect: (address, isKept) => this.#connect(address, isKept),
      isLinked: (nodeId) => this.#table.links.has(nodeId),
    });
  }

  /** @throws {ShoalError} `not_ready` when the port is taken or the address is not of this machine */
  static async start(
    components: TlsPeerLinksComponents,
    options: TlsPeerLinksOptions,
  ): Promise<TlsPeerLinks> {
    const links = new TlsPeerLinks(components, options);
    const { host = null, port = DEFAULT_PEER_PORT } = options;
    links.#listener = await Listener.start({ host, port }, links.#secret, {
      connected: (socket, settled) => void links.#welcome(socket, settled),
      failed: (error, address) =>
        tellConnectionFailure(links.#notices, error, { address, isDialled: false, isKept: false }),
    });
    return links;
  }

  /** Where this node listens for links. */
  get port(): number {
    return this.#listener?.port ?? 0;
  }

  get peers(): ReadonlyMap<NodeId, LinkedPeer> {
    return this.#table.links;
  }

  /** Connections of other nodes that have yet to become links. */
  get arrivalCount(): number {
    return this.#listener?.arrivalCount ?? 0;
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
    this.#dialler.dial(parseAddress(address, DEFAULT_PEER_PORT), keep);
  }

  /** Cuts the link to a node, and takes no other until `takeAll`. For tests of what a lost link does. */
  drop(nodeId: NodeId): void {
    this.#dropped.add(nodeId);
    this.#table.links.get(nodeId)?.multiplexer.close(farewell('dropped'));
  }

  takeAll(): void {
    this.#dropped.clear();
  }

  async close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#dialler.close();
      const linked = this.#table.links.size;
      this.#table.closeAll(farewell('stopping'));
      // Those that are no links yet have nothing to say farewell to.
      if (linked === 0) for (const socket of this.#sockets.keys()) socket.destroy();
      else {
        const timer = setTimeout(() => {
          for (const socket of this.#sockets.keys()) socket.destroy();
        }, TIMES.linkFarewellMs);
        void Promise.all(this.#sockets.values()).then(() => clearTimeout(timer));
      }
    }
    await Promise.all([this.#listener?.close(), ...this.#sockets.values()]);
  }

  async #welcome(socket: TLSSocket, settled: () => void): Promise<void> {
    const { host, port } = remoteOf(socket);
    await this.#introduce(socket, 'listener', null, {
      address: formatAddress({ host, port }),
      isDialled: false,
      isKept: false,
    });
    settled();
  }

  async #connect(address: HostAndPort, isKept: boolean): Promise<DialOutcome> {
    const end: OtherEnd = { address: formatAddress(address), isDialled: true, isKept };
    const socket = dialTls(address, this.#secret);
    this.#track(socket);
    const seconds = TIMES.linkHandshakeMs / 1_000;
    const timer = setTimeout(
      () => socket.destroy(new Error(`no link within ${seconds} s`)),
      TIMES.linkHandshakeMs,
    );
    try {
      await once(socket, 'secureConnect');
    } catch (error) {
      clearTimeout(timer);
      socket.destroy();
      if (!this.#isClosed) tellConnectionFailure(this.#notices, error as Error, end);
      return { nodeId: null, isSelf: false };
    }
    const outcome = await this.#introduce(socket, 'dialler', end.address, end);
    clearTimeout(timer);
    return outcome;
  }

  /** @param dialled the address that was dialled, or null when the other end dialled */
  async #introduce(
    socket: TLSSocket,
    role: LinkRole,
    dialled: string | null,
    end: OtherEnd,
  ): Promise<DialOutcome> {
    this.#track(socket);
    try {
      const peer = await shakeHands(
        { transport: socket, role, keyingMaterial: keyingMaterialOf(socket) },
        {
          key: this.#identity.key,
          hello: () => this.#hello(),
          present: ({ nodeId }) => this.#table.links.get(nodeId) ?? null,
          dropped: this.#dropped,
          isFull: () => this.#isClosed || this.#table.links.size >= LIMITS.peers,
          nextDecision: () => {
            this.#decisions += 1;
            return this.#decisions;
          },
          open: (introduction) => this.#open(socket, introduction, dialled),
        },
      );
      tellClockSkew(this.#notices, peer, this.#now());
      return { nodeId: peer.nodeId, isSelf: false };
    } catch (error) {
      if (!(error instanceof HandshakeError)) {
        socket.destroy();
        if (!this.#isClosed) tellConnectionFailure(this.#notices, error as Error, end);
        return { nodeId: null, isSelf: false };
      }
      if (!this.#isClosed) tellHandshakeFailure(this.#notices, error, end);
      const nodeId = error.peer?.nodeId ?? null;
      const isSelf = nodeId === this.#identity.nodeId;
      return { nodeId: isSelf ? null : nodeId, isSelf };
    }
  }

  #open(socket: TLSSocket, { peer, reader, decision }: Introduction, dialled: string | null): void {
    // Its handshake was under way when the two were parted.
    if (this.#dropped.has(peer.nodeId)) {
      socket.destroy();
      return;
    }
    const reachable = { host: remoteOf(socket).host, port: peer.port };
    const address = dialled ?? formatAddress(reachable);
    this.#table.add({
      peer: { ...peer, address, localAddress: socket.localAddress ?? null },
      transport: socket,
      reader,
      isDialler: dialled !== null,
      decision,
    });
    if (dialled === null && peer.port > 0) this.#dialler.learn(reachable, peer.nodeId);
    this.#notices.say('info', `linked with node "${peer.name}" at ${address}`, {
      node_id: peer.nodeId,
      address,
    });
  }

  #lost({ nodeId, name, address }: LinkedPeer, { code, reason, isFromPeer = false }: Farewell): void {
    if (this.#isClosed) return;
    const fields = { node_id: nodeId, address, code, reason };
    if (code === 'copiedHome') {
      const error = new HandshakeError({ code, reason, isFromPeer }, null);
      tellHandshakeFailure(this.#notices, error, { address, isDialled: true, isKept: true });
    }
    const level = code === 'garbage' || code === 'not_reading' ? 'warn' : 'info';
    this.#notices.say(level, `the link with node "${name}" closed: ${reason}`, fields);
    this.#dialler.linkLost(nodeId);
  }

  #hello(): Hello {
    const { nodeId, incarnation } = this.#identity;
    return {
      nodeId,
      name: this.#name,
      incarnation,
      bootId: this.#bootId,
      clockMs: this.#now(),
      port: this.port,
    };
  }

  #track(socket: TLSSocket): void {
    if (this.#sockets.has(socket)) return;
    // Each wait on the socket has a listener of its own; between them an error is followed by `close`.
    socket.on('error', () => undefined);
    const ended = new Promise<void>((resolve) => {
      socket.once('close', () => {
        this.#sockets.delete(socket);
        resolve();
      });
    });
    this.#sockets.set(socket, ended);
  }
}
