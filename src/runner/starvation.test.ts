import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Starvation } from './starvation.js';

test('R44: the waiting of all threads is summed, and does not go back when a thread ends', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-tasks-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const thread = (id: string, text: string) => {
    mkdirSync(join(folder, id), { recursive: true });
    writeFileSync(join(folder, id, 'schedstat'), text);
  };
  const starvation = new Starvation(folder);
  assert.equal(starvation.readMs(), 0);
  thread('7', '1000000 2500000 12\n');
  thread('8', '1 500000 3\n');
  mkdirSync(join(folder, '9'));
  assert.equal(starvation.readMs(), 3);
  thread('7', 'nonsense');
  assert.equal(starvation.readMs(), 3);
  thread('8', '1 7000000 3\n');
  assert.equal(starvation.readMs(), 7);
});

test('R44: a system that says nothing about threads counts as one that has cores enough', () => {
  assert.equal(new Starvation('/there/is/no/such/folder').readMs(), 0);
});
