/**
 * Takes connections of other nodes. One that has not become a link within its time is cut, and so is one too many, from
 * one address or in all: who has no key can neither hold places nor make this node remember anything.
 */
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { formatAddress, type HostAndPort, plainHost } from './addresses.js';
import { type LinkSecret, listenError, listenerOptions } from './tlsTransport.js';

export interface ListenerEvents {
  /** An encrypted connection of a member. It is cut after `linkHandshakeMs` unless `settled` was called. */
  connected(socket: TLSSocket, settled: () => void): void;
  /** A connection that failed before it was encrypted. */
  failed(error: Error, from: string): void;
}

interface Arrival {
  readonly socket: Socket;
  readonly timer: NodeJS.Timeout;
  readonly host: string;
}

export class Listener {
  readonly port: number;
  readonly #server: Server;
  /** Connections that have yet to become links, by the four numbers that name a connection. */
  readonly #arrivals: Map<string, Arrival>;

  private constructor(server: Server, arrivals: Map<string, Arrival>) {
    this.#server = server;
    this.#arrivals = arrivals;
    this.port = (server.address() as AddressInfo).port;
  }

  /**
   * @param host null listens on all addresses, IPv4 and IPv6
   * @param port 0 takes any free one
   * @throws {ShoalError} `not_ready` when the port is taken or the address is not of this machine
   */
  static async start(
    { host, port }: { readonly host: string | null; readonly port: number },
    secret: LinkSecret,
    events: ListenerEvents,
  ): Promise<Listener> {
    const arrivals = new Map<string, Arrival>();
    const server = createServer(listenerOptions(secret));
    server.on('connection', (socket: Socket) => admit(socket, arrivals));
    server.on('secureConnection', (socket) => {
      const key = keyOf(socket);
      if (socket.destroyed || !arrivals.has(key)) socket.destroy();
      else events.connected(socket, () => settle(arrivals, key));
    });
    server.on('tlsClientError', (error, socket) => {
      events.failed(error, plainHost(socket.remoteAddress ?? 'an address that is gone'));
      socket.destroy();
    });
    try {
      // Without a host, Node.js listens on all addresses of both families, or of IPv4 where there is no IPv6.
      server.listen({ port, ...(host === null ? {} : { host }) });
      await once(server, 'listening');
    } catch (error) {
      throw listenError(error as NodeJS.ErrnoException, host ?? '*', port);
    }
    // Once it listens, a connection that cannot be taken concerns nobody else.
    server.on('error', (error) => events.failed(error, 'the listener'));
    return new Listener(server, arrivals);
  }

  /** Connections that have yet to become links. */
  get arrivalCount(): number {
    return this.#arrivals.size;
  }

  /** Takes no more, and cuts those that are no links yet. Resolves when all connections that it took are closed. */
  async close(): Promise<void> {
    for (const { socket } of this.#arrivals.values()) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

/** Where the other end of a connection is, in the form of an address. */
export function remoteOf(socket: Socket): HostAndPort {
  return { host: plainHost(socket.remoteAddress ?? ''), port: socket.remotePort ?? 0 };
}

function admit(socket: Socket, arrivals: Map<string, Arrival>): void {
  const { host } = remoteOf(socket);
  const fromThere = [...arrivals.values()].filter((arrival) => arrival.host === host).length;
  if (host === '' || arrivals.size >= LIMITS.linkHandshakes || fromThere >= LIMITS.linkHandshakesPerAddress) {
    socket.destroy();
    return;
  }
  const key = keyOf(socket);
  const timer = setTimeout(() => socket.destroy(), TIMES.linkHandshakeMs);
  arrivals.set(key, { socket, timer, host });
  socket.once('close', () => settle(arrivals, key));
}

function settle(arrivals: Map<string, Arrival>, key: string): void {
  clearTimeout(arrivals.get(key)?.timer);
  arrivals.delete(key);
}

function keyOf(socket: Socket): string {
  return `${formatAddress(remoteOf(socket))} ${socket.localAddress ?? ''}`;
}
