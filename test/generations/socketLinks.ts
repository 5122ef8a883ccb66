/**
 * Links over plain TCP sockets, one for each stream, so that the request plane is tested and measured with the
 * kernel's flow control, half-closes and resets. The first frame on a socket is its head.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { PeerLinks, StreamHandler, StreamHead } from '../../src/cluster/link/contract.js';
import { ShoalError } from '../../src/shared/errors.js';
import { encodeFrame, FrameReader } from '../../src/shared/frames.js';
import type { NodeId } from '../../src/shared/ids.js';

const HEAD_BYTES = 64 * 1024;
const LENGTH_BYTES = 4;

interface Opening {
  readonly from: NodeId;
  readonly kind: string;
  readonly head: StreamHead;
}

export class SocketLinks implements Pick<PeerLinks, 'openStream' | 'serveStreams'> {
  readonly nodeId: NodeId;
  /** Every socket that is open at this end. */
  readonly sockets = new Set<Socket>();
  readonly #server: Server;
  readonly #ports = new Map<NodeId, number>();
  readonly #handlers = new Map<string, StreamHandler>();

  private constructor(nodeId: NodeId) {
    this.nodeId = nodeId;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
  }

  static async listen(nodeId: NodeId): Promise<SocketLinks> {
    const links = new SocketLinks(nodeId);
    links.#server.listen({ port: 0, host: '127.0.0.1', backlog: 2_048 });
    await once(links.#server, 'listening');
    return links;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Makes another node known. */
  know(nodeId: NodeId, port: number): void {
    this.#ports.set(nodeId, port);
  }

  serveStreams(kind: string, handler: StreamHandler): void {
    this.#handlers.set(kind, handler);
  }

  async openStream(to: NodeId, kind: string, head: StreamHead, signal: AbortSignal): Promise<Socket> {
    const port = this.#ports.get(to);
    if (port === undefined) throw new ShoalError('node_lost', `there is no link to node ${to}`);
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    this.#track(socket);
    try {
      await once(socket, 'connect', { signal });
    } catch (error) {
      socket.destroy();
      throw new ShoalError('node_lost', `node ${to} cannot be reached`, { cause: error });
    }
    const opening: Opening = { from: this.nodeId, kind, head };
    socket.write(encodeFrame(opening, HEAD_BYTES));
    return socket;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #track(socket: Socket): void {
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
  }

  #accept(socket: Socket): void {
    this.#track(socket);
    let length: number | null = null;
    socket.on('error', () => socket.destroy());
    const read = (): void => {
      length ??= (socket.read(LENGTH_BYTES) as Buffer | null)?.readUInt32LE() ?? null;
      const body = length === null ? null : (socket.read(length) as Buffer | null);
      if (length === null || body === null) return;
      socket.off('readable', read);
      const prefix = Buffer.alloc(LENGTH_BYTES);
      prefix.writeUInt32LE(length);
      const [opening] = new FrameReader(HEAD_BYTES).push(Buffer.concat([prefix, body])) as [Opening];
      const handler = this.#handlers.get(opening.kind);
      if (handler === undefined) socket.destroy();
      else handler(opening.from, opening.head, socket);
    };
    socket.on('readable', read);
  }
}
