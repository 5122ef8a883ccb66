import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Command } from 'commander';
import { formatToken, KEY_BYTES } from '../cluster/joinToken.js';
import { addUpOptions, readUpOptions, type UpOptions } from './upOptions.js';

let home: string;
before(() => {
  home = mkdtempSync(join(tmpdir(), 'shoal-options-'));
});
after(() => rmSync(home, { recursive: true }));

const TOKEN = formatToken(Buffer.alloc(KEY_BYTES, 7));

function read(parameters: readonly string[], config?: unknown, token?: string): UpOptions {
  writeFileSync(
    join(home, 'config.json'),
    typeof config === 'string' ? config : JSON.stringify(config ?? {}),
  );
  const command = addUpOptions(new Command('up'), 'desk')
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  command.parse(['--home', home, ...parameters], { from: 'user' });
  return readUpOptions(command, token);
}

test('defaults: loopback, the documented port, nothing served', () => {
  const options = read([]);
  assert.equal(options.apiHost, '127.0.0.1');
  assert.equal(options.apiPort, 52_415);
  assert.equal(options.name, 'desk');
  assert.deepEqual([options.serve, options.models, options.apiKey, options.memory], [[], [], [], null]);
});

test('a flag wins over the environment, the environment over the file', (context) => {
  process.env.SHOAL_THREADS = '3';
  context.after(() => delete process.env.SHOAL_THREADS);
  const config = { threads: 2, context: 1024, serve: ['a', 'b'], memory: '6G', insecure: true };
  const options = read(['--serve', 'c'], config);
  assert.equal(options.threads, 3);
  assert.equal(options.context, 1024);
  assert.equal(options.memory, 6 * 2 ** 30);
  assert.equal(options.insecure, true);
  assert.deepEqual(options.serve, ['c']);
  assert.equal(read(['--threads', '1'], config).threads, 1);
  assert.deepEqual(read([], config).serve, ['a', 'b']);
});

test('wrong values are refused wherever they stand', () => {
  for (const parameters of [
    ['--api-port', '70000'],
    ['--memory', 'much'],
    ['--threads', '0'],
    ['--nonsense'],
    ['--peer-port', '-1'],
    ['--peer', 'no address'],
    ['--peer', 'host:0'],
    ['--token', 'shoal1nonsense'],
    ['--no-worker', '--serve', 'a'],
  ]) {
    assert.throws(() => read(parameters), /.+/);
  }
  for (const config of [{ nonsense: 1 }, { threads: 'x' }, { threads: {} }, '[]', '{', { 'api-port': -1 }]) {
    assert.throws(() => read([], config), { code: 'invalid_request' });
  }
});

test('a node is joinable by default: every address, a port that gives way, discovery, worker and API', () => {
  const { peerHost, peerPort, token, peer, discovery, worker, api, offline } = read([]);
  assert.deepEqual([peerHost, peerPort, token, peer], [null, null, null, []]);
  assert.deepEqual([discovery, worker, api, offline], [true, true, true, false]);
  assert.equal(read(['--peer-port', '0']).peerPort, 0);
  assert.equal(read(['--peer-port', '52416']).peerPort, 52_416, 'the default by name does not give way');
  const off = read(['--no-discovery', '--no-worker', '--no-api', '--offline']);
  assert.deepEqual([off.discovery, off.worker, off.api, off.offline], [false, false, false, true]);
});

test('peers are addresses with a port, from a flag, the environment or the file', (context) => {
  const peers = ['--peer', 'gpu', '--peer', '10.0.0.2:7', '--peer', 'fe80::1%eth0', '--peer', '[::1]:8'];
  const wanted = ['gpu:52416', '10.0.0.2:7', '[fe80::1%eth0]:52416', '[::1]:8'];
  assert.deepEqual(read(peers).peer, wanted);
  assert.deepEqual(read([], { peer: ['gpu', '10.0.0.2:7'] }).peer, wanted.slice(0, 2));
  assert.throws(() => read([], { peer: 'no address' }), { code: 'invalid_request' });
  process.env.SHOAL_PEER = 'gpu';
  context.after(() => delete process.env.SHOAL_PEER);
  assert.deepEqual(read([]).peer, ['gpu:52416']);
});

test('flags in the environment and the file may say no as well as yes', (context) => {
  const names = ['SHOAL_INSECURE', 'SHOAL_NO_DISCOVERY', 'SHOAL_NO_API'];
  context.after(() => {
    for (const name of names) delete process.env[name];
  });
  for (const [text, isOn] of [
    ['1', true],
    ['true', true],
    ['YES', true],
    ['0', false],
    ['false', false],
    ['', false],
  ] as const) {
    for (const name of names) process.env[name] = text;
    const { insecure, discovery, api } = read([], { insecure: !isOn, 'no-discovery': !isOn });
    assert.deepEqual([insecure, discovery, api], [isOn, !isOn, !isOn], text);
  }
  process.env.SHOAL_NO_DISCOVERY = '0';
  assert.equal(read(['--no-discovery']).discovery, false, 'a flag wins');
  process.env.SHOAL_INSECURE = 'perhaps';
  assert.throws(() => read([]), { exitCode: 1 });
  for (const name of names) delete process.env[name];
  assert.equal(read([], { 'no-discovery': true }).discovery, false);
  assert.equal(read([], { 'no-discovery': false }).discovery, true);
  assert.throws(() => read([], { 'no-discovery': 'yes' }), { code: 'invalid_request' });
  assert.throws(() => read([], { insecure: 1 }), { code: 'invalid_request' });
});

test('a token comes from the argument of join, a flag, the environment or the file, and a wrong one is not repeated', (context) => {
  const other = formatToken(Buffer.alloc(KEY_BYTES, 8));
  context.after(() => delete process.env.SHOAL_TOKEN);
  assert.equal(read([], { token: TOKEN }).token, TOKEN);
  process.env.SHOAL_TOKEN = other;
  assert.equal(read([], { token: TOKEN }).token, other);
  assert.equal(read(['--token', TOKEN]).token, TOKEN);
  assert.equal(read(['--token', other], {}, TOKEN).token, TOKEN);
  delete process.env.SHOAL_TOKEN;
  const almost = `${TOKEN.slice(0, -1)}${TOKEN.endsWith('a') ? 'b' : 'a'}`;
  for (const wrong of ['', 'nonsense', almost]) {
    assert.throws(
      () => read([], {}, wrong),
      (error: Error) => wrong === '' || !error.message.includes(wrong),
      wrong,
    );
  }
});
