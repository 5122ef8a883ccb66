/**
 * A cable that is long or narrow, between two ends on this machine: what comes is handed on after a delay, and no faster
 * than the rate. Timers of Node.js count whole milliseconds, so the last of them is spent turning the event loop.
 */

import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type Server, type Socket } from 'node:net';

export interface Cable {
  /** Of each direction, in milliseconds. */
  readonly delayMs: number;
  readonly bytesPerSecond: number;
}

export interface ProxyTotals {
  bytes: number;
  /** Chunks in which they came: about as many as frames, since each end sends a frame at once. */
  chunks: number;
}

interface Parcel {
  readonly dueMs: number;
  readonly bytes: Buffer;
}

const TIMER_MS = 1.5;

export class DelayingProxy {
  readonly totals: ProxyTotals = { bytes: 0, chunks: 0 };
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, target: number, cable: Cable) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (near) => {
      const far = connect({ host: '127.0.0.1', port: target, noDelay: true });
      near.setNoDelay(true);
      this.#pass(near, far, cable);
      this.#pass(far, near, cable);
    });
  }

  /** @param target port on this machine */
  static async start(target: number, cable: Cable): Promise<DelayingProxy> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new DelayingProxy(server, target, cable);
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #pass(from: Socket, to: Socket, { delayMs, bytesPerSecond }: Cable): void {
    const queue: Parcel[] = [];
    let freeAtMs = 0;
    let isPumping = false;
    this.#sockets.add(from);
    const pump = (): void => {
      const now = performance.now();
      while (queue.length > 0 && queue[0]!.dueMs <= now) to.write(queue.shift()!.bytes);
      const next = queue[0];
      isPumping = next !== undefined;
      if (next === undefined) return;
      const waitMs = next.dueMs - now;
      if (waitMs > TIMER_MS) setTimeout(pump, waitMs - TIMER_MS);
      else setImmediate(pump);
    };
    from.on('data', (bytes: Buffer) => {
      this.totals.bytes += bytes.length;
      this.totals.chunks += 1;
      const now = performance.now();
      freeAtMs = Math.max(now, freeAtMs) + (bytes.length / bytesPerSecond) * 1e3;
      queue.push({ dueMs: freeAtMs + delayMs, bytes });
      if (!isPumping) pump();
    });
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }
}
