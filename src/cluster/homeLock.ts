/** One node for one home: two would play the same node, and each would end the other's runners as leftovers. */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ShoalError } from '../shared/errors.js';
import { startTimeOf } from '../shared/processTable.js';

interface Holder {
  readonly pid: number;
  readonly startTime: string | null;
}

const PRIVATE_FILE = 0o600;

/**
 * Takes the lock of a home. A holder that is no longer alive has lost it.
 * @returns the function that gives it back
 * @throws {ShoalError} `invalid_request` when another node has it
 */
export async function lockHome(home: string): Promise<() => void> {
  const path = join(home, 'lock.json');
  const holder = readHolder(path);
  if (holder !== null && holder.pid !== process.pid && (await isAlive(holder))) throw taken(home, holder);
  const own: Holder = { pid: process.pid, startTime: await startTimeOf(process.pid) };
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(own), { mode: PRIVATE_FILE });
  renameSync(draft, path);
  // Of two that came at the same time, the later rename has it.
  const winner = readHolder(path);
  if (winner !== null && winner.pid !== process.pid) throw taken(home, winner);
  return () => {
    if (readHolder(path)?.pid === process.pid) rmSync(path, { force: true });
  };
}

async function isAlive({ pid, startTime }: Holder): Promise<boolean> {
  return startTime !== null && (await startTimeOf(pid)) === startTime;
}

function taken(home: string, { pid }: Holder): ShoalError {
  const remedy = 'stop that node, or give this one a folder of its own with --home';
  return new ShoalError(
    'invalid_request',
    `a node (pid ${pid}) runs in the home folder ${home} already: ${remedy}`,
    {
      param: 'home',
    },
  );
}

/** A lock that is missing or torn has no holder. */
function readHolder(path: string): Holder | null {
  try {
    const holder = JSON.parse(readFileSync(path, 'utf8')) as Partial<Holder> | null;
    const startTime = typeof holder?.startTime === 'string' ? holder.startTime : null;
    return typeof holder?.pid === 'number' ? { pid: holder.pid, startTime } : null;
  } catch {
    return null;
  }
}
