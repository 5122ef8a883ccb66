/** The page and its files over HTTP: who gets what, under which policy, and how long it may be kept. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { brotliCompressSync, brotliDecompressSync } from 'node:zlib';
import { startTestApi, type TestApi } from '../testing/testApi.js';

const SCRIPT = 'console.log(1);'.repeat(100);
let folder: string;
let api: TestApi;
let plain: TestApi;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'shoal-dashboard-'));
  mkdirSync(join(folder, 'assets'));
  writeFileSync(join(folder, 'index.html'), '<!doctype html><title>Shoal</title>');
  writeFileSync(join(folder, 'favicon.svg'), '<svg/>');
  writeFileSync(join(folder, 'assets', 'index-1a.js'), SCRIPT);
  writeFileSync(join(folder, 'assets', 'index-1a.js.br'), brotliCompressSync(SCRIPT));
  writeFileSync(join(folder, 'secret.txt'), 'not of the page');
  api = await startTestApi({ api: { apiKeys: ['key'], dashboard: { folder } } });
  plain = await startTestApi({ api: { dashboard: { folder: join(folder, 'none') } } });
});

after(async () => {
  await api?.close();
  await plain?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Without the headers that `fetch` adds, and without its decoding. */
function get(from: TestApi, path: string, headers: Record<string, string> = {}) {
  return new Promise<{ status: number; headers: NodeJS.Dict<string | string[]>; body: Buffer }>(
    (resolve, reject) => {
      const call = request(`${from.url}${path}`, { headers, agent: false, timeout: 10_000 }, (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part) => parts.push(part));
        answer.on('end', () =>
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(parts) }),
        );
      });
      call.on('timeout', () => call.destroy(new Error('no answer')));
      call.on('error', reject);
      call.end();
    },
  );
}

const html = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };

test('R74: a browser gets the dashboard at /, without a key, under a strict policy', async () => {
  const { status, headers, body } = await get(api, '/', html);
  assert.equal(status, 200);
  assert.equal(String(body), '<!doctype html><title>Shoal</title>');
  const policy = String(headers['content-security-policy']);
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe|https?:|\*/);
  assert.equal(headers['cache-control'], 'no-cache');
  assert.equal(headers['x-content-type-options'], 'nosniff');
  assert.equal((await get(api, '/state')).status, 401, 'what it shows needs the key');
});

test('a program gets the plain page, and so does a browser where no dashboard was built', async () => {
  for (const [from, headers] of [
    [api, {}],
    [plain, html],
  ] as const) {
    const page = await get(from, '/', headers);
    assert.equal(page.status, 200);
    assert.match(String(page.body), /\/v1\/chat\/completions/);
  }
  assert.equal((await get(plain, '/assets/index-1a.js')).status, 404);
});

test('files are kept for ever, sent as small as the reader takes them, and not sent twice', async () => {
  const path = '/assets/index-1a.js';
  const whole = await get(api, path);
  assert.equal(String(whole.body), SCRIPT);
  assert.match(String(whole.headers['cache-control']), /immutable/);
  assert.match(String(whole.headers['content-type']), /^text\/javascript/);
  const small = await get(api, path, { 'accept-encoding': 'gzip, br;q=0.9' });
  assert.equal(small.headers['content-encoding'], 'br');
  assert.equal(String(brotliDecompressSync(small.body)), SCRIPT);
  assert.notEqual(small.headers.etag, whole.headers.etag);
  const refused = await get(api, path, { 'accept-encoding': 'br;q=0' });
  assert.equal(refused.headers['content-encoding'], undefined);
  const again = await get(api, path, { 'if-none-match': String(whole.headers.etag) });
  assert.equal(again.status, 304);
  assert.equal(again.body.length, 0);
});

test('nothing but the files of the page can be had', async () => {
  for (const path of [
    '/assets/none.js',
    '/assets/..%2fsecret.txt',
    '/assets/../secret.txt',
    '/assets/%2e%2e%2findex.html',
    '/assets/__proto__',
  ]) {
    assert.ok([401, 404].includes((await get(api, path)).status), path);
  }
});
