/**
 * Who this node is. Its key is made once and kept in the node's home, so that its id survives restarts; each start
 * counts as a new life, so that others can tell a node that came back from one that was never away.
 */
import { join } from 'node:path';
import { ShoalError } from '../shared/errors.js';
import type { NodeId } from '../shared/ids.js';
import { NodeKey } from './nodeKey.js';
import { makeHome, readPrivateFile, writePrivateFile } from './privateFiles.js';

const FILE = 'node.json';

export interface NodeIdentity {
  readonly nodeId: NodeId;
  readonly key: NodeKey;
  /** Which life of this node this is, from 1. */
  readonly incarnation: number;
}

interface Stored {
  readonly key: NodeKey;
  readonly incarnation: number;
}

/**
 * Begins a new life of the node whose home this is. Call it once a start, with the home locked.
 * @throws {ShoalError} `invalid_request` when the home cannot be used, or its file is damaged
 */
export function loadIdentity(home: string): NodeIdentity {
  makeHome(home);
  const path = join(home, FILE);
  const { key, incarnation: lastLife } = readStored(home, path) ?? { key: NodeKey.make(), incarnation: 0 };
  const incarnation = lastLife + 1;
  writePrivateFile(home, path, { node_id: key.nodeId, private_key: key.export(), incarnation });
  return { nodeId: key.nodeId, key, incarnation };
}

function readStored(home: string, path: string): Stored | null {
  const content = readPrivateFile(home, path);
  if (content === null) return null;
  const stored = content === 'damaged' ? null : parseStored(content);
  if (stored === null) {
    throw new ShoalError(
      'invalid_request',
      `${path} is damaged; delete it and the node gets a new identity`,
      {
        param: 'home',
      },
    );
  }
  return stored;
}

function parseStored(content: Readonly<Record<string, unknown>>): Stored | null {
  const { node_id: nodeId, private_key: privateKey, incarnation } = content;
  const key = typeof privateKey === 'string' ? NodeKey.parse(privateKey) : null;
  if (key === null || key.nodeId !== nodeId) return null;
  return Number.isSafeInteger(incarnation) && (incarnation as number) >= 0
    ? { key, incarnation: incarnation as number }
    : null;
}
