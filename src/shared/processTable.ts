/** Tells one process from another that later got the same pid: by the time it was started. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const PS_LIMIT_MS = 2_000;
/** Fields of /proc/PID/stat behind the name in parentheses: the state is the 3rd of all, the start time the 22nd. */
const FIRST_FIELD = 3;
const START_TIME_FIELD = 22;

/**
 * A text that is the same for the whole life of a process and for no other process of this machine, or null when
 * there is no such process or the platform cannot tell (Windows).
 */
export async function startTimeOf(pid: number): Promise<string | null> {
  if (process.platform === 'win32') return null;
  try {
    return process.platform === 'linux' ? await fromProc(pid) : await fromPs(pid);
  } catch {
    // Neither /proc nor ps knows the pid: there is no such process.
    return null;
  }
}

/** Ticks since boot, with the boot's id, since both begin anew with each boot. */
async function fromProc(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
  return `${boot.trim()}:${fields[START_TIME_FIELD - FIRST_FIELD]}`;
}

async function fromPs(pid: number): Promise<string | null> {
  const { stdout } = await run('ps', ['-o', 'lstart=', '-p', String(pid)], { timeout: PS_LIMIT_MS });
  return stdout.trim() === '' ? null : stdout.trim();
}
