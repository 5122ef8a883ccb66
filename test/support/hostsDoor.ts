/** From the test into a host: a port of this process's loopback that leads to a port of the host's loopback. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const DOORMAN = join(dirname(fileURLToPath(import.meta.url)), 'hostsDoorman.js');

export class HostDoor {
  readonly #namespace: string;
  readonly #servers = new Map<number, Server>();
  readonly #visitors = new Set<Socket>();
  #doorman: Promise<{ readonly child: ChildProcess; readonly folder: string }> | null = null;

  constructor(namespace: string) {
    this.#namespace = namespace;
  }

  /** @returns the port here that leads to the port there */
  async open(port: number): Promise<number> {
    this.#doorman ??= this.#start();
    const { folder } = await this.#doorman;
    let server = this.#servers.get(port);
    if (server === undefined) {
      server = createServer({ allowHalfOpen: true }, (visitor) => {
        const inside = connect({ path: join(folder, 'door'), allowHalfOpen: true });
        inside.write(`${port}\n`);
        for (const [one, other] of [
          [visitor, inside],
          [inside, visitor],
        ] as const) {
          this.#visitors.add(one);
          one.on('error', () => other.destroy());
          one.on('close', () => {
            this.#visitors.delete(one);
            other.destroy();
          });
          one.pipe(other);
        }
      });
      this.#servers.set(port, server);
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
    }
    return (server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const visitor of this.#visitors) visitor.destroy();
    for (const server of this.#servers.values()) server.close();
    if (this.#doorman === null) return;
    const { child, folder } = await this.#doorman;
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    rmSync(folder, { recursive: true, force: true });
  }

  async #start(): Promise<{ readonly child: ChildProcess; readonly folder: string }> {
    const folder = mkdtempSync(join(tmpdir(), 'shoal-door-'));
    const program = ['netns', 'exec', this.#namespace, process.execPath, DOORMAN, join(folder, 'door')];
    const child = spawn('ip', program, { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`the doorman of ${this.#namespace} ended with ${code}`);
    });
    await Promise.race([once(child.stdout as NodeJS.ReadableStream, 'data'), ended]);
    ended.catch(() => undefined);
    return { child, folder };
  }
}
