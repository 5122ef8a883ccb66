import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { ShoalError } from '../shared/errors.js';
import { deriveKey, keepClusterKey, loadClusterKey, readClusterToken } from './clusterKey.js';
import { formatToken, parseToken } from './joinToken.js';

const FILE = 'cluster.json';
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';

function makeHome(context: TestContext): string {
  const home = mkdtempSync(join(tmpdir(), 'shoal-key-'));
  context.after(() => rmSync(home, { recursive: true }));
  return home;
}

test('R55: a token carries the key, and one wrong character is told from another cluster', () => {
  const key = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(key, fc.nat(57), fc.integer({ min: 1, max: 31 }), (bytes, position, shift) => {
      const token = formatToken(bytes);
      assert.match(token, /^shoal1[a-z2-7]{58}$/);
      assert.deepEqual(parseToken(token), bytes);
      assert.deepEqual(parseToken(` ${token.toUpperCase()}\n`), bytes);
      const at = 'shoal1'.length + position;
      const wrong = ALPHABET[(ALPHABET.indexOf(token[at]!) + shift) % ALPHABET.length]!;
      const mistyped = token.slice(0, at) + wrong + token.slice(at + 1);
      assert.throws(() => parseToken(mistyped), { code: 'invalid_request', message: /no join token/ });
    }),
  );
});

test('what is no token is refused with the reason, and is not repeated in the message', () => {
  const token = formatToken(randomBytes(32));
  const cases: [string, RegExp][] = [
    ['', /does not begin/],
    ['hello', /does not begin/],
    [token.slice(0, -1), /63 characters instead of 64/],
    [`${token}a`, /65 characters instead of 64/],
    [token.replace('shoal1', 'shoal2'), /version/],
    [`shoal1${'!'.repeat(58)}`, /character/],
  ];
  for (const [text, reason] of cases) {
    assert.throws(
      () => parseToken(text),
      (error) => {
        assert.ok(error instanceof ShoalError);
        assert.match(error.message, reason);
        assert.match(error.message, /shoal token/);
        assert.ok(text.length < 20 || !error.message.includes(text.slice(6, 26)));
        return true;
      },
    );
  }
});

test('R55: a home without a key gets a random one and keeps it, readable by its user alone', (context) => {
  const home = makeHome(context);
  assert.equal(readClusterToken(home), null);
  const key = loadClusterKey(home, null);
  assert.equal(key.length, 32);
  assert.deepEqual(loadClusterKey(home, null), key);
  assert.equal(readClusterToken(home), formatToken(key));
  assert.notDeepEqual(loadClusterKey(makeHome(context), null), key);
  assert.deepEqual(readdirSync(home), [FILE]);
  if (process.platform !== 'win32') assert.equal(statSync(join(home, FILE)).mode & 0o077, 0);
});

test('R55: a home that has met nobody takes the token of a cluster; one that has met others does not', (context) => {
  const home = makeHome(context);
  const [first, second] = [randomBytes(32), randomBytes(32)];
  loadClusterKey(home, null);
  assert.deepEqual(loadClusterKey(home, formatToken(first)), first);
  assert.deepEqual(loadClusterKey(home, formatToken(second)), second);
  keepClusterKey(home);
  assert.deepEqual(loadClusterKey(home, formatToken(second)), second);
  assert.throws(() => loadClusterKey(home, formatToken(first)), {
    code: 'invalid_request',
    param: 'token',
    message: /--home DIR/,
  });
  assert.deepEqual(loadClusterKey(home, null), second);
});

test('a damaged key file is a coded error and is left as it is', (context) => {
  const home = makeHome(context);
  const path = join(home, FILE);
  for (const damage of ['', '{}', '{"token":"shoal1","met_others":true}', '{"token":7}']) {
    writeFileSync(path, damage);
    for (const use of [
      () => loadClusterKey(home, null),
      () => readClusterToken(home),
      () => keepClusterKey(home),
    ]) {
      assert.throws(use, { code: 'invalid_request', message: /damaged; delete it, and join again/ });
    }
    assert.equal(readFileSync(path, 'utf8'), damage);
  }
});

test('keys for different purposes have nothing in common', () => {
  const key = randomBytes(32);
  assert.equal(deriveKey(key, 'a', 32).length, 32);
  assert.deepEqual(deriveKey(key, 'a', 32), deriveKey(key, 'a', 32));
  assert.notDeepEqual(deriveKey(key, 'a', 32), deriveKey(key, 'b', 32));
  assert.notDeepEqual(deriveKey(key, 'a', 32), deriveKey(randomBytes(32), 'a', 32));
});
