/**
 * Several hosts on one machine, for tests of what happens between machines: each has a network namespace with its own
 * loopback, addresses and cable. They hang on one switch, or two of them on one cable; there is no route to anywhere
 * else. Cables can be cut silently, in one direction, between a pair, or visibly; what is cut can be healed.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { HostDoor } from './hostsDoor.js';
import {
  addIngress,
  canDelay,
  delayBy,
  dropFrom,
  dropNoLonger,
  inNamespace,
  ip,
  ownPrefix,
  removeLeftovers,
  removeNamespaces,
  whyNoNamespaces,
} from './hostsKernel.js';
import type { Place } from './nodeProcess.js';

export interface HostsOptions {
  readonly count: number;
  /** One switch for all, or one cable between two. @default 'switch' */
  readonly layout?: 'switch' | 'cable';
  /** Give them addresses 10.77.0.N/24; they have link-local ones of IPv6 anyway. @default true */
  readonly ipv4?: boolean;
}

const DEVICE = 'eth0';
const SWITCH = 'br0';

let missing: Promise<string | null> | null = null;

/** Why tests that need hosts must be skipped here, or null; said aloud once. */
export function whyNoHosts(): Promise<string | null> {
  missing ??= whyNoNamespaces().then((reason) => {
    if (reason !== null) process.stderr.write(`SKIPPED: tests between several hosts: ${reason}\n`);
    return reason;
  });
  return missing;
}

export class Host implements Place {
  readonly namespace: string;
  readonly number: number;
  readonly #door: HostDoor;
  readonly #children = new Set<ChildProcess>();

  constructor(namespace: string, number: number) {
    this.namespace = namespace;
    this.number = number;
    this.#door = new HostDoor(namespace);
  }

  get ipv4(): string {
    return `10.77.0.${this.number}`;
  }

  /** Of its end of the cable; the link-local address follows from it. */
  get mac(): string {
    return `02:00:00:00:00:${this.number.toString(16).padStart(2, '0')}`;
  }

  /** As others of the network see it. */
  get ipv6(): string {
    return `fe80::ff:fe00:${this.number.toString(16)}%${DEVICE}`;
  }

  spawn(command: string, parameters: readonly string[], options: SpawnOptions): ChildProcess {
    // `ip netns exec` becomes the command: the child is the command itself, and signals reach it.
    const inside = ['netns', 'exec', this.namespace, command, ...parameters];
    const child = spawn('ip', inside, options);
    this.#children.add(child);
    child.once('close', () => this.#children.delete(child));
    return child;
  }

  async reach(url: string): Promise<string> {
    const address = new URL(url);
    address.port = String(await this.#door.open(Number(address.port)));
    address.hostname = '127.0.0.1';
    return address.origin;
  }

  async close(): Promise<void> {
    await this.#door.close();
    for (const child of [...this.#children]) {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
  }
}

export class Hosts {
  readonly hosts: readonly Host[];
  readonly #namespaces: readonly string[];
  readonly #hub: string | null;
  /** `FROM>TO` of the directions that are cut. */
  readonly #cuts = new Set<string>();
  readonly #atExit: () => void;

  private constructor(prefix: string, { count, layout = 'switch' }: HostsOptions) {
    this.hosts = Array.from({ length: count }, (_, place) => new Host(`${prefix}-${place + 1}`, place + 1));
    this.#hub = layout === 'switch' ? `${prefix}-hub` : null;
    const hosts = this.hosts.map(({ namespace }) => namespace);
    this.#namespaces = this.#hub === null ? hosts : [...hosts, this.#hub];
    this.#atExit = () => removeNamespaces(this.#namespaces);
    process.once('exit', this.#atExit);
  }

  /** Only where `whyNoHosts()` says null. */
  static async create(options: HostsOptions): Promise<Hosts> {
    if (options.layout === 'cable' && options.count !== 2) throw new RangeError('a cable has two ends');
    removeLeftovers();
    const network = new Hosts(ownPrefix(), options);
    try {
      await network.#build(options.ipv4 ?? true);
      return network;
    } catch (error) {
      await network.close();
      throw error;
    }
  }

  /** The host of this number, from 1. */
  host(number: number): Host {
    const host = this.hosts[number - 1];
    if (host === undefined) throw new RangeError(`no host ${number}`);
    return host;
  }

  /** Nothing that `from` sends reaches `to` any more. Neither is told. */
  async cutOneWay(from: Host, to: Host): Promise<void> {
    const direction = `${from.number}>${to.number}`;
    if (from === to || this.#cuts.has(direction)) return;
    this.#cuts.add(direction);
    await dropFrom(to.namespace, DEVICE, from.number, from.mac);
  }

  async healOneWay(from: Host, to: Host): Promise<void> {
    if (this.#cuts.delete(`${from.number}>${to.number}`)) {
      await dropNoLonger(to.namespace, DEVICE, from.number);
    }
  }

  async cutBetween(one: Host, other: Host): Promise<void> {
    await Promise.all([this.cutOneWay(one, other), this.cutOneWay(other, one)]);
  }

  async healBetween(one: Host, other: Host): Promise<void> {
    await Promise.all([this.healOneWay(one, other), this.healOneWay(other, one)]);
  }

  /** The host is silently cut off from all others, both ways. */
  async cut(host: Host): Promise<void> {
    await Promise.all(this.hosts.map((other) => this.cutBetween(host, other)));
  }

  /** What the host sends is heard, but it hears nobody; or the other way round. */
  async cutDirection(host: Host, what: 'sending' | 'receiving'): Promise<void> {
    const cutFrom = (other: Host) =>
      what === 'sending' ? this.cutOneWay(host, other) : this.cutOneWay(other, host);
    await Promise.all(this.hosts.map(cutFrom));
  }

  /** Splits the network: nobody of the one side and of the rest hear each other. */
  async partition(side: readonly Host[]): Promise<void> {
    const rest = this.hosts.filter((host) => !side.includes(host));
    await Promise.all(side.flatMap((one) => rest.map((other) => this.cutBetween(one, other))));
  }

  async heal(host: Host): Promise<void> {
    await Promise.all(this.hosts.map((other) => this.healBetween(host, other)));
  }

  async healAll(): Promise<void> {
    await Promise.all(this.hosts.map((host) => this.heal(host)));
  }

  /** Pulls the plug: the host sees its interface lose the carrier. */
  async unplug(host: Host): Promise<void> {
    await this.#setFarEnd(host, 'down');
  }

  async plug(host: Host): Promise<void> {
    await this.#setFarEnd(host, 'up');
  }

  /**
   * Delays what the host sends.
   * @returns false where the kernel cannot; then nothing is delayed
   */
  async delay(host: Host, delayMs: number): Promise<boolean> {
    if (!(await canDelay(host.namespace, DEVICE))) return false;
    if (delayMs > 0) await delayBy(host.namespace, DEVICE, delayMs);
    return true;
  }

  /** @throws when a host has a way out of the test */
  async checkIsolation(): Promise<void> {
    for (const { namespace } of this.hosts) {
      for (const family of ['-4', '-6']) {
        const routes = await ip(family, '-n', namespace, 'route', 'show', 'default');
        if (routes.trim() !== '') throw new Error(`${namespace} has a way out: ${routes}`);
      }
    }
  }

  /** Ends what runs in the hosts and removes them. */
  async close(): Promise<void> {
    process.removeListener('exit', this.#atExit);
    await Promise.all(this.hosts.map((host) => host.close()));
    removeNamespaces(this.#namespaces);
  }

  async #build(hasIpv4: boolean): Promise<void> {
    for (const namespace of this.#namespaces) {
      await ip('netns', 'add', namespace);
      // An address is of use at once instead of after the second that is spent on looking for a double.
      await inNamespace(namespace, 'sh', '-c', 'echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad');
      await ip('-n', namespace, 'link', 'set', 'lo', 'up');
    }
    if (this.#hub === null) await this.#connectDirectly();
    else await this.#connectToSwitch(this.#hub);
    for (const { namespace, mac, ipv4 } of this.hosts) {
      await ip('-n', namespace, 'link', 'set', DEVICE, 'address', mac, 'up');
      if (hasIpv4) await ip('-n', namespace, 'addr', 'add', `${ipv4}/24`, 'dev', DEVICE);
      await addIngress(namespace, DEVICE);
    }
    await this.checkIsolation();
  }

  async #connectDirectly(): Promise<void> {
    const [one, other] = [this.host(1).namespace, this.host(2).namespace];
    const peer = ['peer', 'name', DEVICE, 'netns', other];
    await ip('-n', one, 'link', 'add', 'name', DEVICE, 'type', 'veth', ...peer);
  }

  async #connectToSwitch(hub: string): Promise<void> {
    const kind = ['type', 'bridge', 'forward_delay', '0', 'mcast_snooping', '0'];
    await ip('-n', hub, 'link', 'add', 'name', SWITCH, ...kind);
    await ip('-n', hub, 'link', 'set', SWITCH, 'up');
    for (const { namespace, number } of this.hosts) {
      const peer = ['peer', 'name', DEVICE, 'netns', namespace];
      await ip('-n', hub, 'link', 'add', 'name', `port${number}`, 'type', 'veth', ...peer);
      await ip('-n', hub, 'link', 'set', `port${number}`, 'master', SWITCH, 'up');
    }
  }

  async #setFarEnd(host: Host, state: 'up' | 'down'): Promise<void> {
    if (this.#hub !== null) {
      await ip('-n', this.#hub, 'link', 'set', `port${host.number}`, state);
      return;
    }
    const other = this.hosts.find((one) => one !== host) as Host;
    await ip('-n', other.namespace, 'link', 'set', DEVICE, state);
  }
}
