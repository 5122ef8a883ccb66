/** Two ranks that exchange bytes over one bare connection: what a sum over two cannot be faster than. */
import type { Socket } from 'node:net';
import { Channel, type Encryption } from '../../src/collective/connect/encryption.js';
import type { AllGather } from '../../src/collective/connect.js';

export class BareExchange {
  readonly #socket: Socket;
  #missing = 0;
  #resolve: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#missing -= chunk.length;
      if (this.#missing <= 0) this.#resolve();
    });
  }

  static async connect(
    rank: number,
    secret: Uint8Array,
    encryption: Encryption,
    allGather: AllGather,
  ): Promise<BareExchange> {
    const channel = new Channel(secret, encryption);
    const signal = new AbortController().signal;
    if (rank === 1) {
      const [port] = await allGather(new Uint8Array(0), signal);
      const target = { host: '127.0.0.1', port: Number(Buffer.from(port!)), localAddress: null };
      return await new Promise((resolve) => {
        const socket = channel.dial(target, () => resolve(new BareExchange(socket)));
      });
    }
    return await new Promise((resolve) => {
      const server = channel.listen((socket) => {
        server.close();
        resolve(new BareExchange(socket));
      });
      server.listen(0, '127.0.0.1', () => {
        const { port } = server.address() as { port: number };
        void allGather(Buffer.from(String(port)), signal);
      });
    });
  }

  /** Sends as many bytes as come back. */
  async exchange(bytes: Uint8Array): Promise<void> {
    this.#missing += bytes.length;
    const arrived =
      this.#missing <= 0 ? undefined : new Promise<void>((resolve) => (this.#resolve = resolve));
    this.#socket.write(bytes);
    await arrived;
  }

  close(): void {
    this.#socket.destroy();
  }
}
