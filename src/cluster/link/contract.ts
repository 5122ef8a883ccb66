/**
 * What the rest of a node needs of its links to the other nodes: one authenticated, encrypted connection a pair, on
 * which control messages and byte streams travel. Who is alive is not judged here: a link says that it opened, what
 * came over it and that it closed, and `src/control/` draws the conclusions.
 */
import type { Duplex } from 'node:stream';
import type { NodeId } from '../../shared/ids.js';

/** A node at the other end of an open link, with what it proved and said of itself. */
export interface LinkedPeer {
  readonly nodeId: NodeId;
  readonly name: string;
  /** Counts the starts of that node; a higher number is a newer life of it. */
  readonly incarnation: number;
  /** `HOST:PORT` where this connection ends over there, as it can be dialled again. */
  readonly address: string;
  /** Address of this machine where the connection ends here; null when it has none. */
  readonly localAddress: string | null;
  /** Shortest round trip of the newest probes on this link in microseconds; null before the first. */
  readonly roundTripUs: number | null;
}

export interface PeerLinkListener {
  opened(peer: LinkedPeer): void;
  closed(peer: LinkedPeer, reason: string): void;
  /** A control message, in the order in which it was sent on this link. */
  received(from: NodeId, message: unknown): void;
}

/** What the opener of a stream says first, as a plain object. */
export type StreamHead = Readonly<Record<string, unknown>>;

/** Serves the streams of one kind that peers open. It owns the stream and ends it; a `ShoalError` refuses the stream. */
export type StreamHandler = (from: NodeId, head: StreamHead, stream: Duplex) => void;

export interface PeerLinks {
  /** Those with an open link now. */
  readonly peers: ReadonlyMap<NodeId, LinkedPeer>;

  /** Tells of everything from now on; one listener. */
  listen(listener: PeerLinkListener): void;

  /**
   * Sends a control message. It arrives after those sent before it, or the link closes. Without an open link it is
   * dropped: the protocols above repeat what matters. A peer that does not read makes its link close at a bound.
   * @throws {FrameError} when the message is longer than `linkMessageBytes`
   */
  send(to: NodeId, message: unknown): void;

  /**
   * Opens a byte stream with flow control to a linked peer.
   * @param kind which handler serves it there
   * @param signal ends the opening, and later the stream
   * @throws {ShoalError} `node_lost` when there is no link, or it closes before the stream is open; `not_found` when
   * that kind is not served there; `queue_full` when too many are open; whatever fault the handler threw
   */
  openStream(to: NodeId, kind: string, head: StreamHead, signal: AbortSignal): Promise<Duplex>;

  /** Serves streams of this kind. */
  serveStreams(kind: string, handler: StreamHandler): void;

  /**
   * An address where a peer may be, from discovery or a person. Dialled now, and again with backoff while no link to
   * it is open. The number of addresses is bounded; one that never worked is forgotten after some attempts.
   * @param address `HOST:PORT` or `[IPV6%ZONE]:PORT`; a name is looked up anew for each attempt
   * @throws {ShoalError} `invalid_request` when it is no address
   */
  dial(address: string, options?: DialOptions): void;

  /** Closes all links and dials no more. Resolves when nothing of them is left. */
  close(): Promise<void>;
}

export interface DialOptions {
  /** Never forget it: a person gave it. @default false */
  readonly keep?: boolean;
}
