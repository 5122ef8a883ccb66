/**
 * Runners that outlived their node. A runner ends by itself when its channel closes, but one that was stopped or hangs
 * in native code cannot. The node therefore writes down the pid and start time of each of its runners, and at its next
 * start ends what is left of them. It touches no process whose start time differs: a pid may belong to another by then.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startTimeOf } from '../shared/processTable.js';

interface Entry {
  readonly pid: number;
  readonly startTime: string;
}

const PRIVATE_FILE = 0o600;

export class Leftovers {
  readonly #path: string;
  readonly #onProblem: (error: Error) => void;
  readonly #entries = new Map<number, Entry>();

  /**
   * @param home folder of the node, which has the record
   * @param onProblem told when the record cannot be written; runners work without it
   */
  constructor(home: string, onProblem: (error: Error) => void) {
    this.#path = join(home, 'runners.json');
    this.#onProblem = onProblem;
  }

  /** Ends the runners of this node's earlier life. Returns the pids that were ended. */
  async end(): Promise<number[]> {
    const ended: number[] = [];
    for (const { pid, startTime } of readEntries(this.#path)) {
      if ((await startTimeOf(pid)) !== startTime) continue;
      if (kill(pid)) ended.push(pid);
    }
    this.#write();
    return ended;
  }

  /** Writes down a runner that was started. */
  async add(pid: number): Promise<void> {
    const startTime = await startTimeOf(pid);
    if (startTime === null) return;
    this.#entries.set(pid, { pid, startTime });
    this.#write();
  }

  /** Strikes out a runner that has ended. */
  remove(pid: number): void {
    if (this.#entries.delete(pid)) this.#write();
  }

  #write(): void {
    const draft = `${this.#path}.${process.pid}`;
    try {
      writeFileSync(draft, JSON.stringify([...this.#entries.values()]), { mode: PRIVATE_FILE });
      renameSync(draft, this.#path);
    } catch (error) {
      this.#onProblem(error as Error);
    }
  }
}

/** False when it has ended by itself meanwhile. */
function kill(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/** The record of the earlier life; one that is missing or torn names nobody. */
function readEntries(path: string): Entry[] {
  try {
    const entries: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return Array.isArray(entries) ? entries.filter(isEntry) : [];
  } catch {
    return [];
  }
}

function isEntry(value: unknown): value is Entry {
  const { pid, startTime } = (value ?? {}) as Partial<Entry>;
  return Number.isInteger(pid) && (pid ?? 0) > 1 && typeof startTime === 'string';
}
