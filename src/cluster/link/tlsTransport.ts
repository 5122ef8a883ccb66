/**
 * Encrypted connections between nodes: TLS 1.3 without certificates, with a key that only members of the cluster have,
 * and with forward secrecy. That a member is at the other end is proved here; which one, by its hello.
 */
import { lookup as lookUp } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { type ConnectionOptions, connect, type TLSSocket, type TlsOptions } from 'node:tls';
import { ShoalError } from '../../shared/errors.js';
import { deriveKey } from '../clusterKey.js';
import type { HostAndPort } from './addresses.js';

const KEYING_LABEL = 'EXPORTER-shoal-link';
const KEYING_BYTES = 32;
const PSK_BYTES = 32;
const HINT_BYTES = 8;
const KEEP_ALIVE_MS = 10_000;

const SUITE = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_128_GCM_SHA256',
  ecdhCurve: 'X25519',
} as const;

const SOCKET = { noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS } as const;

/** What goes into the handshake of TLS, derived from the cluster key. */
export interface LinkSecret {
  readonly psk: Buffer;
  /** Tells clusters apart in the open, and says nothing about the key to those who do not have it. */
  readonly identity: string;
}

export function linkSecret(clusterKey: Buffer): LinkSecret {
  return {
    psk: deriveKey(clusterKey, 'link key', PSK_BYTES),
    identity: `shoal-${deriveKey(clusterKey, 'link hint', HINT_BYTES).toString('hex')}`,
  };
}

export function listenerOptions({ psk, identity }: LinkSecret): TlsOptions {
  return {
    ...SUITE,
    ...SOCKET,
    pskCallback: (_socket: TLSSocket, theirs: string) => (theirs === identity ? psk : null),
  } as TlsOptions;
}

/** Resolves when the connection is encrypted; the caller bounds the time by destroying the socket. */
export function dialTls({ host, port }: HostAndPort, { psk, identity }: LinkSecret): TLSSocket {
  const socket = connect({
    ...SUITE,
    ...SOCKET,
    host,
    port,
    lookup: lookUpOnce,
    autoSelectFamily: true,
    servername: '',
    pskCallback: () => ({ psk, identity }),
    checkServerIdentity: () => undefined,
  } as ConnectionOptions);
  // `connect` of TLS does not pass these on: without them a small frame waits for the acknowledgement of the last one.
  socket.setNoDelay(SOCKET.noDelay);
  socket.setKeepAlive(SOCKET.keepAlive, SOCKET.keepAliveInitialDelay);
  return socket;
}

export function keyingMaterialOf(socket: TLSSocket): Buffer {
  return socket.exportKeyingMaterial(KEYING_BYTES, KEYING_LABEL, Buffer.alloc(0));
}

/** Did the handshake fail because the two ends have different cluster keys? */
export function isOtherCluster(error: Error): boolean {
  return OTHER_CLUSTER.has((error as NodeJS.ErrnoException).code ?? '');
}

/** Did something answer that does not speak as nodes do? */
export function isNoNode(error: Error): boolean {
  return ((error as NodeJS.ErrnoException).code ?? '').startsWith('ERR_SSL_');
}

const OTHER_CLUSTER: ReadonlySet<string> = new Set([
  // At the listener: no key of this name, or one of this name that is not the same.
  'ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM',
  'ERR_SSL_BINDER_DOES_NOT_VERIFY',
  // At the dialler, which is only told that the handshake failed.
  'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE',
  'ERR_SSL_SSLV3_ALERT_ILLEGAL_PARAMETER',
  'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE',
  'ERR_SSL_SSL/TLS_ALERT_ILLEGAL_PARAMETER',
]);

type Waiting = Parameters<LookupFunction>[2];
const lookups = new Map<string, Waiting[]>();

/**
 * One look-up of a name at a time: it cannot be given up, and a name server that does not answer would otherwise take
 * one thread more with each attempt.
 */
const lookUpOnce: LookupFunction = (hostname, options, callback) => {
  const key = `${hostname} ${options.family ?? 0} ${options.all === true}`;
  const waiting = lookups.get(key);
  if (waiting !== undefined) {
    waiting.push(callback);
    return;
  }
  lookups.set(key, [callback]);
  lookUp(hostname, options, (error, address, family) => {
    const callbacks = lookups.get(key) ?? [];
    lookups.delete(key);
    for (const waits of callbacks) waits(error, address, family);
  });
};

/** Why a port cannot be listened on, with what to do. */
export function listenError(error: NodeJS.ErrnoException, host: string, port: number): ShoalError {
  const reason =
    error.code === 'EADDRINUSE'
      ? 'another program, perhaps another node, has it; stop that one or choose another with --peer-port'
      : error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND'
        ? 'this machine has no such address; choose another with --peer-host'
        : error.message;
  return new ShoalError('not_ready', `links of other nodes cannot be taken on ${host}:${port}: ${reason}`, {
    param: error.code === 'EADDRINUSE' ? 'peer-port' : 'peer-host',
    cause: error,
  });
}
