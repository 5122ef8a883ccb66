/**
 * The key of a cluster: 256 random bits that every node of it has. It is made at the first start of a node that joins
 * nobody, and goes to further machines as a token. A home belongs to one cluster: once its node has met others there,
 * no token of another cluster takes it away.
 */
import { hkdfSync, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { ShoalError } from '../shared/errors.js';
import type { InstanceId } from '../shared/ids.js';
import { formatToken, KEY_BYTES, parseToken } from './joinToken.js';
import { makeHome, readPrivateFile, writePrivateFile } from './privateFiles.js';

const FILE = 'cluster.json';

interface Stored {
  readonly key: Buffer;
  /** Has this node been linked to another of its cluster? */
  readonly metOthers: boolean;
}

/**
 * The key of the cluster that this home belongs to. A token of another cluster is taken as long as the node has met
 * nobody in its present one. Call it with the home locked.
 * @param token what the user gave, or null
 * @throws {ShoalError} `invalid_request` when the token is malformed or the home belongs to another cluster, or the
 * file is damaged
 */
export function loadClusterKey(home: string, token: string | null): Buffer {
  makeHome(home);
  const given = token === null ? null : parseToken(token);
  const stored = readStored(home);
  if (stored === null || (given !== null && !given.equals(stored.key))) {
    if (stored?.metOthers === true) throw belongsElsewhere(home);
    const key = given ?? randomBytes(KEY_BYTES);
    write(home, { key, metOthers: false });
    return key;
  }
  return stored.key;
}

/** The token of the cluster that this home belongs to, or null when no node was ever started in it. */
export function readClusterToken(home: string): string | null {
  const stored = readStored(home);
  return stored === null ? null : formatToken(stored.key);
}

/** Says that this node has met another of its cluster: from now on its home belongs there. */
export function keepClusterKey(home: string): void {
  const stored = readStored(home);
  if (stored !== null && !stored.metOthers) write(home, { ...stored, metOthers: true });
}

/** A key of its own for each purpose, so that what one of them gives away does not help against another. */
export function deriveKey(clusterKey: Buffer, purpose: string, lengthBytes: number): Buffer {
  return Buffer.from(hkdfSync('sha256', clusterKey, Buffer.alloc(0), `shoal ${purpose}`, lengthBytes));
}

/** What the ranks of one attempt at an instance prove to each other that they belong to it. 32 bytes. */
export function rankSecret(clusterKey: Buffer, instanceId: InstanceId, attempt: number): Buffer {
  return deriveKey(clusterKey, `ranks ${instanceId} ${attempt}`, KEY_BYTES);
}

function readStored(home: string): Stored | null {
  const path = join(home, FILE);
  const content = readPrivateFile(home, path);
  if (content === null) return null;
  const stored = content === 'damaged' ? null : parseStored(content);
  if (stored === null) {
    const remedy =
      'delete it, and join again with the token that `shoal token` prints on another machine of the cluster';
    throw new ShoalError('invalid_request', `${path} is damaged; ${remedy}`, { param: 'home' });
  }
  return stored;
}

function parseStored({ token, met_others: metOthers }: Readonly<Record<string, unknown>>): Stored | null {
  if (typeof token !== 'string' || typeof metOthers !== 'boolean') return null;
  try {
    return { key: parseToken(token), metOthers };
  } catch {
    return null;
  }
}

function write(home: string, { key, metOthers }: Stored): void {
  writePrivateFile(home, join(home, FILE), { token: formatToken(key), met_others: metOthers });
}

function belongsElsewhere(home: string): ShoalError {
  return new ShoalError(
    'invalid_request',
    `the token is of another cluster than the home folder ${home}, whose node has met others already: ` +
      'give a folder of its own with --home DIR to join that cluster, or leave out the token',
    { param: 'token' },
  );
}
