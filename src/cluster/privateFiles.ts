/**
 * Small files in a node's home that only its user may read: keys, and what a node must remember of itself. A write is
 * on the disk when it returns, and a crash leaves either the old file or the new one.
 */
import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { ShoalError } from '../shared/errors.js';

const PRIVATE_FOLDER = 0o700;
const PRIVATE_FILE = 0o600;
const OTHERS = 0o077;

/**
 * Makes the home folder when it is missing, readable by its user alone. The mode of a folder that exists is its
 * owner's choice and stays.
 * @throws {ShoalError} `invalid_request` when there can be no such folder
 */
export function makeHome(home: string): void {
  inHome(home, () => makeFolder(home));
}

/** A recursive `mkdirSync` never returns where the kernel says that a folder cannot be made, as below `/proc`. */
function makeFolder(path: string): void {
  const isThere = statSync(path, { throwIfNoEntry: false });
  if (isThere?.isDirectory() === true) return;
  if (isThere === undefined) makeFolder(dirname(path));
  try {
    mkdirSync(path, { mode: PRIVATE_FOLDER });
  } catch (error) {
    // Another process may have made it meanwhile.
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
}

/**
 * The JSON object in the file; null when there is no file, and `'damaged'` when it holds none. A file that others may
 * read, such as a copy made without care, is tightened before it is read.
 * @throws {ShoalError} `invalid_request` when the file cannot be read or tightened
 */
export function readPrivateFile(
  home: string,
  path: string,
): Readonly<Record<string, unknown>> | null | 'damaged' {
  return inHome(home, () => {
    let text: string;
    try {
      if (process.platform !== 'win32' && (statSync(path).mode & OTHERS) !== 0) chmodSync(path, PRIVATE_FILE);
      text = readFileSync(path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
    return parseObject(text) ?? 'damaged';
  });
}

/** @throws {ShoalError} `invalid_request` when it cannot be written, for example to a full disk */
export function writePrivateFile(
  home: string,
  path: string,
  content: Readonly<Record<string, unknown>>,
): void {
  inHome(home, () => {
    const draft = `${path}.${process.pid}`;
    try {
      writeDurably(draft, `${JSON.stringify(content)}\n`);
      renameSync(draft, path);
    } catch (error) {
      rmSync(draft, { force: true });
      throw error;
    }
    syncFolder(dirname(path));
  });
}

function writeDurably(path: string, text: string): void {
  rmSync(path, { force: true });
  const file = openSync(path, 'wx', PRIVATE_FILE);
  try {
    writeFileSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** The rename is on the disk when the folder is. Windows cannot open folders, and journals renames. */
function syncFolder(path: string): void {
  if (process.platform === 'win32') return;
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function parseObject(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

function inHome<Result>(home: string, action: () => Result): Result {
  try {
    return action();
  } catch (error) {
    if (error instanceof ShoalError) throw error;
    const reason = (error as Error).message;
    throw new ShoalError('invalid_request', `the home folder ${home} cannot be used: ${reason}`, {
      param: 'home',
      cause: error,
    });
  }
}
