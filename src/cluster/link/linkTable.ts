/**
 * The open links of a node, one for each other node, and who serves what comes over them. However a connection came
 * to be, from `add` on it is a link like any other.
 */
import type { Duplex } from 'node:stream';
import { ShoalError } from '../../shared/errors.js';
import type { NodeId } from '../../shared/ids.js';
import type { Life } from './admission.js';
import type { LinkedPeer, PeerLinkListener, StreamHandler, StreamHead } from './contract.js';
import { type Farewell, farewell } from './farewell.js';
import { Multiplexer } from './multiplexer.js';
import type { Notices } from './notices.js';
import type { WireReader } from './wire.js';

export interface NewLink {
  readonly peer: Life & Pick<LinkedPeer, 'name' | 'address' | 'localAddress'>;
  readonly transport: Duplex;
  readonly reader: WireReader;
  readonly isDialler: boolean;
  /** See `Introduction`. */
  readonly decision: number;
}

export interface LinkTableComponents {
  readonly notices: Notices;
  /** A link closed, and its node has no other. */
  readonly onLost: (peer: LinkedPeer, farewell: Farewell) => void;
}

export class Link implements LinkedPeer, Life {
  readonly nodeId: NodeId;
  readonly name: string;
  readonly incarnation: number;
  readonly bootId: string;
  readonly address: string;
  readonly localAddress: string | null;
  readonly decision: number;
  readonly multiplexer: Multiplexer;

  constructor(
    { nodeId, name, incarnation, bootId, address, localAddress }: NewLink['peer'],
    decision: number,
    multiplexer: Multiplexer,
  ) {
    this.nodeId = nodeId;
    this.name = name;
    this.incarnation = incarnation;
    this.bootId = bootId;
    this.address = address;
    this.localAddress = localAddress;
    this.decision = decision;
    this.multiplexer = multiplexer;
  }

  get roundTripUs(): number | null {
    return this.multiplexer.roundTripUs;
  }
}

export class LinkTable {
  readonly #links = new Map<NodeId, Link>();
  readonly #handlers = new Map<string, StreamHandler>();
  readonly #notices: Notices;
  readonly #onLost: LinkTableComponents['onLost'];
  #listener: PeerLinkListener | null = null;

  constructor({ notices, onLost }: LinkTableComponents) {
    this.#notices = notices;
    this.#onLost = onLost;
  }

  get links(): ReadonlyMap<NodeId, Link> {
    return this.#links;
  }

  listen(listener: PeerLinkListener): void {
    this.#listener = listener;
  }

  serveStreams(kind: string, handler: StreamHandler): void {
    this.#handlers.set(kind, handler);
  }

  send(to: NodeId, message: unknown): void {
    this.#links.get(to)?.multiplexer.send(message);
  }

  async openStream(to: NodeId, kind: string, head: StreamHead, signal: AbortSignal): Promise<Duplex> {
    signal.throwIfAborted();
    const link = this.#links.get(to);
    if (link === undefined) throw new ShoalError('node_lost', `there is no link to node ${to}`);
    return await link.multiplexer.openStream(kind, head, signal);
  }

  /** Makes the connection the link to its node, in the place of the present one. */
  add({ peer, transport, reader, isDialler, decision }: NewLink): void {
    const multiplexer: Multiplexer = new Multiplexer(
      {
        transport,
        reader,
        events: {
          received: (message) =>
            this.#guard(link, 'a message', () => this.#listener?.received(peer.nodeId, message)),
          streamOpened: (kind, head, stream) => this.#serve(link, kind, head, stream),
          closed: (reason) => this.#closed(link, reason),
        },
      },
      { isDialler },
    );
    const link = new Link(peer, decision, multiplexer);
    const present = this.#links.get(peer.nodeId);
    this.#links.set(peer.nodeId, link);
    if (present !== undefined) {
      const isSameLife = present.bootId === peer.bootId;
      present.multiplexer.close(farewell(isSameLife ? 'replaced' : 'copiedHome'));
    }
    // The listener to that close may have closed this one.
    if (multiplexer.isClosed) return;
    this.#guard(link, 'the opening of a link', () => this.#listener?.opened(link));
    if (!multiplexer.isClosed) multiplexer.start();
  }

  closeAll(reason: Farewell): void {
    for (const link of [...this.#links.values()]) link.multiplexer.close(reason);
  }

  #serve(link: Link, kind: string, head: StreamHead, stream: Duplex): void {
    const handler = this.#handlers.get(kind);
    if (handler === undefined)
      throw new ShoalError('not_found', `no streams of the kind "${kind}" are served`);
    try {
      handler(link.nodeId, head, stream);
    } catch (error) {
      if (!(error instanceof ShoalError)) this.#reportBug(link, `a stream of the kind "${kind}"`, error);
      throw error;
    }
  }

  #closed(link: Link, reason: Farewell): void {
    const isPresent = this.#links.get(link.nodeId) === link;
    if (isPresent) this.#links.delete(link.nodeId);
    try {
      this.#listener?.closed(link, reason.reason);
    } catch (error) {
      this.#reportBug(link, 'the end of a link', error);
    }
    if (isPresent) this.#onLost(link, reason);
  }

  /** What another node sends must not end this one; a message that could not be dealt with ends the link. */
  #guard(link: Link, what: string, action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#reportBug(link, what, error);
      link.multiplexer.close({ code: 'failed', reason: `${what} could not be dealt with` });
    }
  }

  #reportBug(link: Link, what: string, error: unknown): void {
    const fields = { node_id: link.nodeId, err: error };
    this.#notices.sayOnce(
      `bug ${what}`,
      'error',
      `a bug in Shoal: ${what} from node ${link.name} failed`,
      fields,
    );
  }
}
