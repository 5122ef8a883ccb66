import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { startTimeOf } from '../../src/shared/processTable.js';
import { Leftovers } from '../../src/worker/leftovers.js';

const children: ChildProcess[] = [];
const folders: string[] = [];
let home = '';

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'shoal-leftovers-'));
  folders.push(home);
});
after(() => {
  for (const child of children) child.kill('SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true });
});

async function sleeper(): Promise<ChildProcess & { pid: number }> {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  children.push(child);
  await once(child, 'spawn');
  return child as ChildProcess & { pid: number };
}

test('R47: what an earlier life left behind is ended, also when it is stopped', async () => {
  const [first, second] = [await sleeper(), await sleeper()];
  const record = new Leftovers(home, assert.fail);
  await record.add(first.pid);
  await record.add(second.pid);
  first.kill('SIGSTOP');
  const ends = Promise.all([once(first, 'exit'), once(second, 'exit')]);
  assert.deepEqual(await new Leftovers(home, assert.fail).end(), [first.pid, second.pid]);
  assert.deepEqual(
    (await ends).map(([, signal]) => signal),
    ['SIGKILL', 'SIGKILL'],
  );
  assert.deepEqual(await new Leftovers(home, assert.fail).end(), []);
});

test('R47: a process that ended in order, and another that got its pid, are not touched', async () => {
  const child = await sleeper();
  const record = new Leftovers(home, assert.fail);
  await record.add(child.pid);
  record.remove(child.pid);
  assert.deepEqual(await new Leftovers(home, assert.fail).end(), []);
  writeFileSync(join(home, 'runners.json'), JSON.stringify([{ pid: child.pid, startTime: 'another life' }]));
  assert.deepEqual(await new Leftovers(home, assert.fail).end(), []);
  assert.notEqual(await startTimeOf(child.pid), null);
});

test('R47: a record that is torn or hostile ends nobody', async () => {
  const own = await startTimeOf(process.pid);
  const records = [
    '',
    '[',
    'null',
    '[{"pid":-1}]',
    '[{"pid":1,"startTime":"x"}]',
    '[{"pid":"1","startTime":1}, 7, null]',
  ];
  for (const text of records) {
    writeFileSync(join(home, 'runners.json'), text);
    assert.deepEqual(await new Leftovers(home, assert.fail).end(), []);
  }
  assert.equal(readFileSync(join(home, 'runners.json'), 'utf8'), '[]');
  assert.equal(await startTimeOf(process.pid), own);
});
