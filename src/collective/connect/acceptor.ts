/**
 * Takes the connections of other ranks. Each proves which rank it is, is measured by the other end as one path of
 * several, and is cut when it does not become a link in time.
 */
import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import { type Fault, ShoalError } from '../../shared/errors.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import type { LinkPath } from '../contract.js';
import { encodeFault } from '../link/faultFrame.js';
import { type FrameHandler, FrameStream } from '../link/frameStream.js';
import { type FrameHeader, KIND, WireError } from '../link/wire.js';
import type { World } from '../shape/shape.js';
import type { Channel } from './encryption.js';
import { encodeHello, readHello } from './hello.js';

/** The connection becomes the link to that rank: null, or why it must not. */
type OnChosen = (stream: FrameStream, path: LinkPath) => Fault | null;

/** Round trips that one path may be measured with. */
const MOST_PROBES = 64;

export class Acceptor {
  readonly port: number;
  readonly #server: Server;
  readonly #arrivals: Set<Arrival>;

  private constructor(server: Server, arrivals: Set<Arrival>) {
    this.#server = server;
    this.#arrivals = arrivals;
    this.port = (server.address() as AddressInfo).port;
  }

  /**
   * @param host null listens on all addresses
   * @throws {ShoalError} `not_ready` when there is no such address or port
   */
  static async start(
    channel: Channel,
    world: World,
    { host, port }: { readonly host: string | null; readonly port: number },
    onChosen: OnChosen,
  ): Promise<Acceptor> {
    const arrivals = new Set<Arrival>();
    const server = channel.listen((socket) => {
      const arrival = new Arrival(socket, channel, world, onChosen, () => arrivals.delete(arrival));
      arrivals.add(arrival);
    });
    server.maxConnections = LIMITS.linkHandshakes;
    try {
      server.listen({ port, ...(host === null ? {} : { host }) });
      await once(server, 'listening');
    } catch (error) {
      const reason = (error as Error).message;
      throw new ShoalError('not_ready', `links of other ranks cannot be taken on ${host ?? '*'}: ${reason}`, {
        cause: error,
      });
    }
    // Once it listens, a connection that cannot be taken concerns nobody else; a rank that does not come is missed.
    server.on('error', () => undefined);
    return new Acceptor(server, arrivals);
  }

  /** Takes no more, and cuts those that are no links yet. The links stay. */
  close(): void {
    this.#server.close();
    for (const arrival of [...this.#arrivals]) arrival.cut();
  }
}

class Arrival implements FrameHandler {
  readonly #socket: Socket;
  readonly #stream: FrameStream;
  readonly #channel: Channel;
  readonly #world: World;
  readonly #onChosen: OnChosen;
  readonly #onSettled: () => void;
  readonly #timer: NodeJS.Timeout;
  #peer: number | null = null;
  #probes = 0;

  constructor(socket: Socket, channel: Channel, world: World, onChosen: OnChosen, onSettled: () => void) {
    this.#socket = socket;
    this.#channel = channel;
    this.#world = world;
    this.#onChosen = onChosen;
    this.#onSettled = onSettled;
    this.#timer = setTimeout(() => this.cut(), TIMES.linkHandshakeMs);
    this.#stream = new FrameStream(socket, this);
    this.#stream.write(KIND.hello, 0, [encodeHello(channel, socket, 'listener', world)]);
  }

  cut(): void {
    this.#settle();
    this.#stream.destroy();
  }

  open({ kind, length }: FrameHeader): Uint8Array {
    const isExpected =
      this.#peer === null ? kind === KIND.hello : kind === KIND.probe || kind === KIND.choose;
    if (!isExpected) throw new WireError(`a frame of kind ${kind} before there is a link`);
    return new Uint8Array(length);
  }

  complete({ kind, tag }: FrameHeader, payload: Uint8Array): void {
    if (kind === KIND.hello) {
      this.#peer = readHello(payload, this.#channel, this.#socket, 'dialler', this.#world);
    } else if (kind === KIND.probe) {
      this.#probes += 1;
      if (this.#probes > MOST_PROBES) throw new WireError('too many probes');
      this.#stream.write(KIND.echo, tag, [payload]);
    } else {
      this.#settle();
      const refusal = this.#onChosen(this.#stream, pathOf(this.#socket, this.#peer!, null));
      if (refusal !== null) this.#stream.close(KIND.abort, TIMES.collectiveFarewellMs, encodeFault(refusal));
    }
  }

  ended(): void {
    this.cut();
  }

  #settle(): void {
    clearTimeout(this.#timer);
    this.#onSettled();
  }
}

export function pathOf(socket: Socket, rank: number, roundTripUs: number | null): LinkPath {
  return {
    rank,
    localAddress: plain(socket.localAddress),
    remoteAddress: plain(socket.remoteAddress),
    roundTripUs,
  };
}

/** An address without the form that IPv4 has on a socket of both families. */
function plain(address = ''): string {
  return address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
}
