/**
 * The cluster key as text, for `shoal join TOKEN`: `shoal1`, then base 32 of the key and of a checksum, so that a
 * token that was mistyped is told from one of another cluster. Whoever has it may join: it is a secret.
 */
import { createHash } from 'node:crypto';
import { fromBase32, toBase32 } from '../shared/base32.js';
import { ShoalError } from '../shared/errors.js';

export const KEY_BYTES = 32;
const CHECKSUM_BYTES = 4;
const PREFIX = 'shoal';
const VERSION = '1';
const BODY_CHARACTERS = Math.ceil(((KEY_BYTES + CHECKSUM_BYTES) * 8) / 5);

/** @param key the cluster key, 32 bytes */
export function formatToken(key: Buffer): string {
  return PREFIX + VERSION + toBase32(Buffer.concat([key, checksum(key)]));
}

/**
 * The key in a token; case and space around it do not matter.
 * @throws {ShoalError} `invalid_request`, without a word of the token in it
 */
export function parseToken(text: string): Buffer {
  const token = text.trim().toLowerCase();
  if (!token.startsWith(PREFIX)) throw malformed('it does not begin with "shoal1"');
  const version = token.slice(PREFIX.length, PREFIX.length + 1);
  if (version !== VERSION) throw malformed('it is of a version of Shoal that this one does not know');
  const body = token.slice(PREFIX.length + 1);
  if (body.length !== BODY_CHARACTERS) {
    throw malformed(`it has ${token.length} characters instead of ${PREFIX.length + 1 + BODY_CHARACTERS}`);
  }
  const bytes = fromBase32(body);
  const key = bytes?.subarray(0, KEY_BYTES);
  if (bytes == null || key === undefined || !checksum(key).equals(bytes.subarray(KEY_BYTES))) {
    throw malformed('a character of it is wrong');
  }
  return key;
}

function checksum(key: Uint8Array): Buffer {
  return createHash('sha256').update('shoal token\0').update(key).digest().subarray(0, CHECKSUM_BYTES);
}

function malformed(reason: string): ShoalError {
  const remedy = 'copy it again from `shoal token` on a machine of the cluster';
  return new ShoalError('invalid_request', `this is no join token: ${reason}; ${remedy}`, { param: 'token' });
}
