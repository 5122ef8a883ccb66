/**
 * The connections between the ranks of one instance: TLS 1.3 without certificates, with a key made of the instance's own
 * secret, and with forward secrecy. Who has no secret gets no further; which rank it is, its hello says and proves.
 */
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { connect as connectTcp, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import {
  type ConnectionOptions,
  connect as connectTls,
  createServer as createTlsServer,
  TLSSocket,
  type TlsOptions,
} from 'node:tls';
import { TIMES } from '../../shared/limits.js';

export const SECRET_BYTES = 32;
const KEYING_LABEL = 'EXPORTER-shoal-collective';
const KEY_BYTES = 32;
const IDENTITY = 'shoal-collective';

const SUITE = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_128_GCM_SHA256',
  ecdhCurve: 'X25519',
} as const;

/**
 * `none` sends everything in the open, and anybody on the network can change it: for measurements, and for cables that
 * nobody else is on.
 */
export type Encryption = 'tls' | 'none';

/** Where to connect to, and from which address of this machine; null leaves that to the system. */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly localAddress: string | null;
}

export type Role = 'dialler' | 'listener';

export class Channel {
  readonly #encryption: Encryption;
  readonly #psk: Buffer;
  readonly #proofKey: Buffer;

  /** @param secret 32 random bytes that the ranks of one instance share, and nobody else */
  constructor(secret: Uint8Array, encryption: Encryption) {
    if (secret.length !== SECRET_BYTES) throw new RangeError(`a secret of ${secret.length} bytes`);
    this.#encryption = encryption;
    this.#psk = derive(secret, 'shoal collective channel');
    this.#proofKey = derive(secret, 'shoal collective rank');
  }

  /** A server that calls `onConnected` with each connection once it is encrypted. */
  listen(onConnected: (socket: Socket) => void): Server {
    if (this.#encryption === 'none') {
      return createTcpServer({ noDelay: true }, (socket) => onConnected(socket));
    }
    const options = {
      ...SUITE,
      noDelay: true,
      handshakeTimeout: TIMES.linkHandshakeMs,
      pskCallback: (_socket: TLSSocket, theirs: string) => (theirs === IDENTITY ? this.#psk : null),
    } as TlsOptions;
    const server = createTlsServer(options, onConnected);
    // Whoever has no secret is nobody to report: anything on the network may connect.
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    return server;
  }

  /** @param onConnected called once it is encrypted */
  dial({ host, port, localAddress }: Target, onConnected: () => void): Socket {
    const place = { host, port, ...(localAddress === null ? {} : { localAddress }) };
    if (this.#encryption === 'none') return connectTcp({ ...place, noDelay: true }, onConnected);
    const socket = connectTls(
      {
        ...SUITE,
        ...place,
        servername: '',
        pskCallback: () => ({ psk: this.#psk, identity: IDENTITY }),
        checkServerIdentity: () => undefined,
      } as ConnectionOptions,
      onConnected,
    );
    // A TLS socket does not hand this option on; without it each second small frame waits for 40 ms.
    socket.setNoDelay(true);
    return socket;
  }

  /** Binds a rank to this connection, so that nothing that was said on another one can be repeated. */
  proofOf(socket: Socket, role: Role, claim: Uint8Array): Buffer {
    const keying =
      socket instanceof TLSSocket
        ? socket.exportKeyingMaterial(KEY_BYTES, KEYING_LABEL, Buffer.alloc(0))
        : Buffer.alloc(0);
    return createHmac('sha256', this.#proofKey).update(`${role}\0`).update(keying).update(claim).digest();
  }

  isProof(proof: Uint8Array, socket: Socket, role: Role, claim: Uint8Array): boolean {
    const expected = this.proofOf(socket, role, claim);
    return proof.length === expected.length && timingSafeEqual(proof, expected);
  }
}

function derive(secret: Uint8Array, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), purpose, KEY_BYTES));
}
