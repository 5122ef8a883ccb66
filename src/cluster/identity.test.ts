import assert from 'node:assert/strict';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ShoalError } from '../shared/errors.js';
import { loadIdentity } from './identity.js';
import { isSignedBy, NodeKey, nodeIdOf } from './nodeKey.js';

function makeFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-identity-'));
  context.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

const modeOf = (path: string) => statSync(path).mode & 0o777;

test('R35: a node keeps its id, in a file that only its user can read, and counts its lives', (context) => {
  const home = join(makeFolder(context), 'deep', 'home');
  const first = loadIdentity(home);
  assert.match(first.nodeId, /^[a-z2-7]{26}$/);
  assert.equal(first.incarnation, 1);
  for (const incarnation of [2, 3]) {
    const next = loadIdentity(home);
    assert.equal(next.nodeId, first.nodeId);
    assert.equal(next.incarnation, incarnation);
  }
  assert.deepEqual(readdirSync(home), ['node.json']);
  if (process.platform === 'win32') return;
  assert.equal(modeOf(home), 0o700);
  assert.equal(modeOf(join(home, 'node.json')), 0o600);
});

test('R55: the id of a node follows from its key, and only the holder of the key can sign for it', (context) => {
  const { nodeId, key } = loadIdentity(makeFolder(context));
  assert.equal(nodeIdOf(key.publicKey), nodeId);
  const message = Buffer.from('message');
  assert.ok(isSignedBy(key.publicKey, message, key.sign(message)));
  assert.ok(!isSignedBy(key.publicKey, Buffer.from('another'), key.sign(message)));
  assert.ok(!isSignedBy(key.publicKey, message, NodeKey.make().sign(message)));
  assert.ok(!isSignedBy(key.publicKey, message, Buffer.alloc(3)));
  assert.ok(!isSignedBy(Buffer.alloc(31), message, key.sign(message)));
  assert.notEqual(nodeIdOf(NodeKey.make().publicKey), nodeId);
});

test('a file that others may read is tightened; drafts of a crashed start do no harm', (context) => {
  const home = makeFolder(context);
  const path = join(home, 'node.json');
  const { nodeId } = loadIdentity(home);
  chmodSync(path, 0o644);
  writeFileSync(`${path}.${process.pid}`, 'half a dra');
  assert.equal(loadIdentity(home).nodeId, nodeId);
  if (process.platform !== 'win32') assert.equal(modeOf(path), 0o600);
  assert.deepEqual(readdirSync(home), ['node.json']);
});

test('a damaged identity and a home that is a file are coded errors, and change nothing', (context) => {
  const home = makeFolder(context);
  const path = join(home, 'node.json');
  loadIdentity(home);
  const good = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  const damages = [
    '',
    'null',
    '[]',
    '{"node',
    '{"node_id":7}',
    JSON.stringify({ ...good, node_id: nodeIdOf(NodeKey.make().publicKey) }),
    JSON.stringify({ ...good, private_key: 'AAAA' }),
    JSON.stringify({ ...good, incarnation: 1.5 }),
    JSON.stringify({ ...good, incarnation: undefined }),
  ];
  for (const damage of damages) {
    writeFileSync(path, damage);
    assert.throws(() => loadIdentity(home), { code: 'invalid_request', message: /damaged; delete it/ });
    assert.equal(readFileSync(path, 'utf8'), damage);
  }
  assert.throws(() => loadIdentity(join(path, 'x')), ShoalError);
  rmSync(path);
  mkdirSync(path);
  assert.throws(() => loadIdentity(home), ShoalError);
});
