/**
 * Places for nodes that shall talk to each other: hosts where this machine can have them, else addresses of the
 * loopback network, which are enough for tests that cut no cable.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Hosts, whyNoHosts } from './hosts.js';
import type { Place } from './nodeProcess.js';

export interface HostPlace extends Place {
  readonly number: number;
  /** Where others of the same places reach it. */
  readonly ipv4: string;
}

export interface HostPlaces {
  readonly places: readonly HostPlace[];
  /** The network between them, or null on the loopback network, where nothing can be cut. */
  readonly network: Hosts | null;
  close(): Promise<void>;
}

const FIRST_LOOPBACK = 10;

/** @param wish `loopback` takes the loopback network also where hosts could be had */
export async function createPlaces(count: number, wish: 'hosts' | 'loopback' = 'hosts'): Promise<HostPlaces> {
  if (wish === 'hosts' && (await whyNoHosts()) === null) {
    const network = await Hosts.create({ count });
    return { places: network.hosts, network, close: () => network.close() };
  }
  const places = Array.from({ length: count }, (_, place) => new LoopbackPlace(place + 1));
  return {
    places,
    network: null,
    close: async () => {
      await Promise.all(places.map((place) => place.close()));
    },
  };
}

class LoopbackPlace implements HostPlace {
  readonly number: number;
  readonly #children = new Set<ChildProcess>();

  constructor(number: number) {
    this.number = number;
  }

  get ipv4(): string {
    return `127.0.0.${FIRST_LOOPBACK + this.number}`;
  }

  spawn(command: string, parameters: readonly string[], options: SpawnOptions): ChildProcess {
    const child = spawn(command, [...parameters], options);
    this.#children.add(child);
    child.once('close', () => this.#children.delete(child));
    return child;
  }

  reach(url: string): Promise<string> {
    return Promise.resolve(url);
  }

  async close(): Promise<void> {
    for (const child of [...this.#children]) {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
  }
}
