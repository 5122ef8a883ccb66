/**
 * The key pair of a node, and the id that follows from it: whoever can sign with the key is the node, and nobody can
 * find another key for the same id.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { toBase32 } from '../shared/base32.js';
import type { NodeId } from '../shared/ids.js';

const ID_BYTES = 16;
const PUBLIC_KEY_BYTES = 32;
/** What comes before the 32 bytes of an ed25519 key in its DER form (RFC 8410). */
const PUBLIC_KEY_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

export class NodeKey {
  readonly nodeId: NodeId;
  /** The public half, 32 bytes. */
  readonly publicKey: Buffer;
  readonly #privateKey: KeyObject;

  private constructor(privateKey: KeyObject) {
    this.#privateKey = privateKey;
    const der = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
    this.publicKey = der.subarray(PUBLIC_KEY_PREFIX.length);
    this.nodeId = nodeIdOf(this.publicKey);
  }

  static make(): NodeKey {
    return new NodeKey(generateKeyPairSync('ed25519').privateKey);
  }

  /** @param text what `export` gave; @returns null when it is anything else */
  static parse(text: string): NodeKey | null {
    try {
      const key = createPrivateKey({ key: Buffer.from(text, 'base64'), type: 'pkcs8', format: 'der' });
      return key.asymmetricKeyType === 'ed25519' ? new NodeKey(key) : null;
    } catch {
      return null;
    }
  }

  /** The private half for the node's own home: base64 of PKCS#8. */
  export(): string {
    return this.#privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64');
  }

  sign(message: Buffer): Buffer {
    return sign(null, message, this.#privateKey);
  }
}

/** 128 bits of the hash of a public key, as 26 characters. */
export function nodeIdOf(publicKey: Uint8Array): NodeId {
  const hash = createHash('sha256').update('shoal node id\0').update(publicKey).digest();
  return toBase32(hash.subarray(0, ID_BYTES)) as NodeId;
}

/** Did the holder of this public key sign the message? False too for what is no key. */
export function isSignedBy(publicKey: Uint8Array, message: Buffer, signature: Uint8Array): boolean {
  if (publicKey.length !== PUBLIC_KEY_BYTES) return false;
  try {
    const der = Buffer.concat([PUBLIC_KEY_PREFIX, publicKey]);
    return verify(null, message, createPublicKey({ key: der, type: 'spki', format: 'der' }), signature);
  } catch {
    return false;
  }
}
