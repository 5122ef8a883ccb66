/** Who this node is. The id is made once and kept in the node's home, so that it survives restarts. */
import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { ShoalError } from '../shared/errors.js';
import type { NodeId } from '../shared/ids.js';

const FILE = 'node.json';
const PRIVATE_FOLDER = 0o700;
const PRIVATE_FILE = 0o600;

/** @throws {ShoalError} `invalid_request` when the home cannot be used, or its file is not ours */
export function loadIdentity(home: string): NodeId {
  const path = join(home, FILE);
  try {
    mkdirSync(home, { recursive: true, mode: PRIVATE_FOLDER });
    return readIdentity(path) ?? createIdentity(path);
  } catch (error) {
    if (error instanceof ShoalError) throw error;
    const reason = (error as Error).message;
    throw new ShoalError('invalid_request', `the home folder ${home} cannot be used: ${reason}`, {
      param: 'home',
    });
  }
}

function readIdentity(path: string): NodeId | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  const nodeId = parseNodeId(text);
  if (nodeId === null) {
    throw new ShoalError('invalid_request', `${path} is damaged; delete it and the node gets a new identity`);
  }
  return nodeId;
}

function parseNodeId(text: string): NodeId | null {
  try {
    const { node_id: nodeId } = JSON.parse(text) as { node_id?: unknown };
    return typeof nodeId === 'string' && nodeId !== '' ? (nodeId as NodeId) : null;
  } catch {
    return null;
  }
}

/** Written beside and renamed, so that a crash leaves either no file or a whole one. */
function createIdentity(path: string): NodeId {
  const nodeId = randomUUID() as NodeId;
  const draft = `${path}.${process.pid}`;
  const file = openSync(draft, 'w', PRIVATE_FILE);
  writeSync(file, `${JSON.stringify({ node_id: nodeId })}\n`);
  fsyncSync(file);
  closeSync(file);
  renameSync(draft, path);
  return nodeId;
}
