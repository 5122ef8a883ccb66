/** Hears what is announced to the group, on all interfaces of one family. Several nodes of a machine may listen. */
import { createSocket, type Socket } from 'node:dgram';
import { setTimeout as delay } from 'node:timers/promises';
import type { AnnouncedAddress } from './interfaces.js';

export type OnPacket = (packet: Buffer, source: string) => void;
export type OnTrouble = (where: string, reason: string) => void;

export interface ReceiverOptions {
  readonly family: 4 | 6;
  readonly group: string;
  readonly port: number;
}

/** A socket that says neither yes nor no to its port in this time is waited for no longer. */
const BIND_MS = 1_000;

export class AnnouncementReceiver {
  readonly #options: ReceiverOptions;
  readonly #onPacket: OnPacket;
  readonly #onTrouble: OnTrouble;
  #socket: Socket | null = null;

  constructor(options: ReceiverOptions, onPacket: OnPacket, onTrouble: OnTrouble) {
    this.#options = options;
    this.#onPacket = onPacket;
    this.#onTrouble = onTrouble;
  }

  /** Opens the socket unless it is open, and joins the group on each interface; joining again changes nothing. */
  async listenOn(addresses: readonly AnnouncedAddress[]): Promise<void> {
    this.#socket ??= await this.#open();
    for (const { family, address, interfaceName } of addresses) {
      if (this.#socket === null) return;
      if (family !== this.#options.family) continue;
      try {
        this.#socket.addMembership(this.#options.group, family === 4 ? address : `::%${interfaceName}`);
      } catch (error) {
        // It is a member there already.
        if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') continue;
        this.#onTrouble(address, `cannot listen there: ${(error as Error).message}`);
      }
    }
  }

  close(): Promise<void> {
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return Promise.resolve();
    return new Promise((resolve) => socket.close(() => resolve()));
  }

  async #open(): Promise<Socket | null> {
    const { family, port } = this.#options;
    const socket = createSocket({
      type: family === 4 ? 'udp4' : 'udp6',
      reuseAddr: true,
      ipv6Only: family === 6,
    });
    socket.on('message', (packet, { address }) => this.#onPacket(packet, address));
    const opened = new Promise<Socket | null>((resolve) => {
      socket.on('error', (error) => {
        this.#onTrouble(`port ${port} of IPv${family}`, `cannot listen: ${error.message}`);
        if (this.#socket === socket) this.#socket = null;
        socket.close();
        resolve(null);
      });
      socket.bind({ port }, () => resolve(socket));
    });
    const limit = new AbortController();
    const late = delay(BIND_MS, null, { signal: limit.signal }).catch(() => null);
    const result = await Promise.race([opened, late]);
    limit.abort();
    return result;
  }
}
