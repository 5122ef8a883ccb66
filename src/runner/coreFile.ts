/**
 * No memory in core files. Where they are on, the kernel writes gigabytes of model to disk before anybody hears of the
 * crash, and the prompts of the users with it; the failed assertion stands in the runner's last words anyway.
 */
import { existsSync, writeFileSync } from 'node:fs';

/** Which kinds of memory a core file of this process has, as bits. Linux only. */
const FILTER = '/proc/self/coredump_filter';
const NOTHING = '0';

export function leaveNoCoreFile(): void {
  if (!existsSync(FILTER)) return;
  try {
    writeFileSync(FILTER, NOTHING);
  } catch (error) {
    process.stderr.write(`a crash may leave a core file: ${(error as Error).message}\n`);
  }
}
