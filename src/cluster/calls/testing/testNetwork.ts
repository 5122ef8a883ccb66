/** Nodes that can open streams to each other, over pipes in memory or whatever a test connects them with. */
import type { Duplex } from 'node:stream';
import { ShoalError } from '../../../shared/errors.js';
import type { NodeId } from '../../../shared/ids.js';
import type { LinkedPeer, PeerLinks, StreamHandler, StreamHead } from '../../link/contract.js';
import { MemoryPipeEnd } from './memoryPipe.js';

/** Connects an opener with the node that serves: first the opener's end. */
export type Connect = () => Promise<readonly [Duplex, Duplex]>;

export class TestNetwork {
  readonly #connect: Connect;
  readonly #nodes = new Map<NodeId, TestLinks>();

  constructor(connect: Connect = async () => MemoryPipeEnd.pair()) {
    this.#connect = connect;
  }

  /** The links of a node; the first time, it joins. */
  node(name: string): TestLinks {
    const nodeId = name as NodeId;
    const links = this.#nodes.get(nodeId) ?? new TestLinks(nodeId, this.#nodes, this.#connect);
    this.#nodes.set(nodeId, links);
    return links;
  }
}

export class TestLinks implements Pick<PeerLinks, 'openStream' | 'serveStreams' | 'peers'> {
  readonly nodeId: NodeId;
  /** Both ends of every stream that this node opened. */
  readonly opened: (readonly [Duplex, Duplex])[] = [];
  readonly #nodes: ReadonlyMap<NodeId, TestLinks>;
  readonly #connect: Connect;
  readonly #handlers = new Map<string, StreamHandler>();

  constructor(nodeId: NodeId, nodes: ReadonlyMap<NodeId, TestLinks>, connect: Connect) {
    this.nodeId = nodeId;
    this.#nodes = nodes;
    this.#connect = connect;
  }

  get peers(): ReadonlyMap<NodeId, LinkedPeer> {
    const others = [...this.#nodes.keys()].filter((nodeId) => nodeId !== this.nodeId);
    return new Map(
      others.map((nodeId) => [
        nodeId,
        {
          nodeId,
          name: nodeId,
          incarnation: 1,
          address: '127.0.0.1:1',
          localAddress: null,
          roundTripUs: null,
        },
      ]),
    );
  }

  serveStreams(kind: string, handler: StreamHandler): void {
    this.#handlers.set(kind, handler);
  }

  handler(kind: string): StreamHandler | undefined {
    return this.#handlers.get(kind);
  }

  async openStream(to: NodeId, kind: string, head: StreamHead, signal: AbortSignal): Promise<Duplex> {
    const pair = await this.#connect();
    const handler = this.#nodes.get(to)?.handler(kind);
    if (handler === undefined) throw new ShoalError('node_lost', `there is no link to node ${to}`);
    signal.throwIfAborted();
    // The opening is answered before the stream is the handler's: what it throws is the answer.
    handler(this.nodeId, structuredClone(head), pair[1]);
    this.opened.push(pair);
    signal.addEventListener('abort', () => pair[0].destroy(), { once: true });
    return pair[0];
  }
}
