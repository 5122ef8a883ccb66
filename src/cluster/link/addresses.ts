/** Addresses of nodes as people and discovery write them: `HOST:PORT`, `[v6%zone]:PORT`, a name, with or without port. */
import { isIP } from 'node:net';
import { ShoalError } from '../../shared/errors.js';

export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

const MOST_PORT = 65_535;
const HOST_CHARACTERS = 255;
const HOST_NAME = /^[\p{L}\p{N}_](?:[\p{L}\p{N}_.-]*[\p{L}\p{N}_.])?$/u;

/** @throws {ShoalError} `invalid_request` when it is no address */
export function parseAddress(text: string, defaultPort?: number): HostAndPort {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text.trim());
  const host = match?.[1] ?? match?.[2] ?? (isIP(text.trim()) === 6 ? text.trim() : undefined);
  const port = match?.[3] === undefined ? defaultPort : Number(match[3]);
  if (host === undefined || !isHost(host, match?.[1] !== undefined || match === null)) {
    throw malformed(text, 'it is neither HOST:PORT nor [IPV6]:PORT');
  }
  if (port === undefined) throw malformed(text, 'its port is missing');
  if (port < 1 || port > MOST_PORT) throw malformed(text, `its port is not from 1 to ${MOST_PORT}`);
  return { host, port };
}

export function formatAddress({ host, port }: HostAndPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** A socket's remote address without the form that IPv4 has on a socket of both families. */
export function plainHost(host: string): string {
  return host.startsWith('::ffff:') && isIP(host.slice(7)) === 4 ? host.slice(7) : host;
}

function isHost(host: string, isBracketed: boolean): boolean {
  if (host.length > HOST_CHARACTERS) return false;
  return isBracketed ? isIP(host) === 6 : isIP(host) === 4 || HOST_NAME.test(host);
}

function malformed(text: string, reason: string): ShoalError {
  return new ShoalError(
    'invalid_request',
    `"${text.slice(0, HOST_CHARACTERS)}" is no address of a node: ${reason}`,
    {
      param: 'peer',
    },
  );
}
