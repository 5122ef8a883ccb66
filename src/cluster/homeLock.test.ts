import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startTimeOf } from '../shared/processTable.js';
import { lockHome } from './homeLock.js';

test('one node for one home; a lock whose holder is gone, or whose pid is another process now, is void', async (context) => {
  const home = mkdtempSync(join(tmpdir(), 'shoal-lock-'));
  context.after(() => rmSync(home, { recursive: true }));
  const file = join(home, 'lock.json');
  const unlock = await lockHome(home);
  unlock();
  assert.equal(existsSync(file), false);

  const startTime = await startTimeOf(process.ppid);
  writeFileSync(file, JSON.stringify({ pid: process.ppid, startTime }));
  if (startTime !== null) await assert.rejects(lockHome(home), /runs in the home folder/);
  for (const stale of [
    JSON.stringify({ pid: process.ppid, startTime: 'another life' }),
    '',
    '{"pid":"x"}',
    'null',
  ]) {
    writeFileSync(file, stale);
    (await lockHome(home))();
  }
});
