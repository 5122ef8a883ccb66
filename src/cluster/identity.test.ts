import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ShoalError } from '../shared/errors.js';
import { loadIdentity } from './identity.js';

test('R35: a node keeps its id, in a file that only its user can read', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-identity-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const home = join(folder, 'deep', 'home');
  const nodeId = loadIdentity(home);
  assert.equal(loadIdentity(home), nodeId);
  assert.deepEqual(readdirSync(home), ['node.json']);
  if (process.platform !== 'win32') assert.equal(statSync(join(home, 'node.json')).mode & 0o077, 0);
});

test('a damaged identity and a home that is a file are coded errors', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-identity-'));
  context.after(() => rmSync(folder, { recursive: true }));
  for (const damage of ['', 'null', '{"node_id":7}', '{"node']) {
    writeFileSync(join(folder, 'node.json'), damage);
    assert.throws(() => loadIdentity(folder), ShoalError);
  }
  assert.throws(() => loadIdentity(join(folder, 'node.json', 'x')), ShoalError);
});
