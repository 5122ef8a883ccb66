/** Sends announcements from one address of this machine to the group, on the link of that address and no other. */
import { createSocket, type Socket } from 'node:dgram';
import type { AnnouncedAddress } from './interfaces.js';

export interface SenderListener {
  ready(): void;
  /** It cannot send, or no longer, and has closed itself. */
  failed(reason: string): void;
}

export class AnnouncementSender {
  readonly from: AnnouncedAddress;
  readonly #group: string;
  readonly #port: number;
  readonly #listener: SenderListener;
  readonly #socket: Socket;
  #state: 'opening' | 'ready' | 'closed' = 'opening';

  constructor(from: AnnouncedAddress, group: string, port: number, listener: SenderListener) {
    this.from = from;
    this.#group = group;
    this.#port = port;
    this.#listener = listener;
    this.#socket = createSocket({ type: from.family === 4 ? 'udp4' : 'udp6' });
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.bind({ address: from.address, port: 0, exclusive: true }, () => this.#bound());
  }

  send(packet: Buffer): void {
    if (this.#state !== 'ready') return;
    this.#socket.send(packet, this.#port, this.#group, (error) => {
      if (error !== null) this.#fail(error);
    });
  }

  close(): Promise<void> {
    if (this.#state === 'closed') return Promise.resolve();
    this.#state = 'closed';
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }

  #bound(): void {
    const { family, address, interfaceName } = this.from;
    try {
      this.#socket.setMulticastInterface(family === 4 ? address : `::%${interfaceName}`);
      // Nodes on this machine shall hear it too.
      this.#socket.setMulticastLoopback(true);
    } catch (error) {
      this.#fail(error as Error);
      return;
    }
    this.#state = 'ready';
    this.#listener.ready();
  }

  #fail(error: Error): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#socket.close();
    this.#listener.failed(error.message);
  }
}
