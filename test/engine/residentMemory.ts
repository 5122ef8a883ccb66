/** What a process of an engine has in memory, for tests that hold it against an estimate. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const LIMIT_MS = 300_000;
const BYTES_PER_KIBIBYTE = 1024;

/** Of this process, in bytes. Linux only. */
export function ownResidentBytes(): number {
  const kibibytes = /^Rss:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/smaps_rollup', 'latin1'))?.[1];
  return Number(kibibytes) * BYTES_PER_KIBIBYTE;
}

/** What a child process prints, which is what it has in memory. */
export function residentBytesOf(child: URL, parameters: readonly (string | number)[]): number {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [fileURLToPath(child), ...parameters.map(String)],
    {
      encoding: 'utf8',
      timeout: LIMIT_MS,
    },
  );
  assert.equal(status, 0, stderr);
  return Number(stdout);
}
