/** Where a rank can be reached, as it tells the others through the side channel, and the paths that follow from it. */
import { isIP, isIPv4, isIPv6 } from 'node:net';
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';
import { pack, unpack } from 'msgpackr';
import { LIMITS } from '../../shared/limits.js';
import { COLLECTIVE_PROTOCOL } from '../link/wire.js';
import type { Target } from './encryption.js';

export interface Endpoint {
  readonly rank: number;
  /** Numeric addresses, without zone, the likeliest first. */
  readonly addresses: readonly string[];
  readonly port: number;
}

const MOST_PORT = 65_535;
const LINK_LOCAL = /^fe[89ab]/i;

export function encodeEndpoint(endpoint: Endpoint): Uint8Array {
  return pack({ version: COLLECTIVE_PROTOCOL, ...endpoint });
}

/**
 * @param rank whose place in the order the blob has
 * @throws {Error} when it is no endpoint of that rank; the message goes on after "rank N "
 */
export function decodeEndpoint(blob: Uint8Array, rank: number): Endpoint {
  const { version, rank: claimed, addresses, port } = fields(blob);
  if (version !== COLLECTIVE_PROTOCOL) throw new Error('does not tell its endpoint in this version');
  if (claimed !== rank) throw new Error('tells the endpoint of another rank');
  const isGood =
    Array.isArray(addresses) &&
    addresses.length > 0 &&
    addresses.length <= LIMITS.addressesPerNode &&
    addresses.every((address) => typeof address === 'string' && isIP(address) !== 0) &&
    Number.isInteger(port) &&
    (port as number) >= 1 &&
    (port as number) <= MOST_PORT;
  if (!isGood) throw new Error('tells no endpoint that can be used');
  return { rank, addresses: addresses as string[], port: port as number };
}

/** Addresses of this machine, those of real networks first; its own loopback last, for ranks on the same machine. */
export function ownAddresses(interfaces = networkInterfaces()): string[] {
  const all = Object.values(interfaces).flatMap((entries) => entries ?? []);
  return all
    .sort((a, b) => order(a) - order(b))
    .map(({ address }) => address)
    .slice(0, LIMITS.addressesPerNode);
}

/**
 * The paths to a rank. An IPv6 address of one link only is tried on every interface of this machine that has such.
 * @param localAddresses of this machine, to be bound to; empty leaves that to the system
 */
export function targetsOf(
  { addresses, port }: Endpoint,
  localAddresses: readonly string[],
  interfaces = networkInterfaces(),
): Target[] {
  const hosts = addresses.flatMap((address) =>
    LINK_LOCAL.test(address) ? linksOf(interfaces).map((link) => `${address}%${link}`) : [address],
  );
  const targets = hosts.flatMap((host): Target[] =>
    localAddresses.length === 0
      ? [{ host, port, localAddress: null }]
      : localAddresses
          .filter((local) => isIPv4(local) === isIPv4(host))
          .map((localAddress) => ({ host, port, localAddress })),
  );
  return targets.slice(0, LIMITS.collectivePaths);
}

function linksOf(interfaces: ReturnType<typeof networkInterfaces>): string[] {
  return Object.entries(interfaces)
    .filter(([, entries]) => entries?.some(({ address }) => LINK_LOCAL.test(address)))
    .map(([name]) => name);
}

function order({ internal, address }: NetworkInterfaceInfo): number {
  if (internal) return isIPv6(address) ? 4 : 3;
  if (LINK_LOCAL.test(address)) return 2;
  return isIPv6(address) ? 1 : 0;
}

function fields(blob: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = unpack(blob);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    // Not MessagePack: an endpoint of no version.
    return {};
  }
}
