import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Command } from 'commander';
import { addUpOptions, readUpOptions, type UpOptions } from './upOptions.js';

let home: string;
before(() => {
  home = mkdtempSync(join(tmpdir(), 'shoal-options-'));
});
after(() => rmSync(home, { recursive: true }));

function read(parameters: readonly string[], config?: unknown): UpOptions {
  writeFileSync(
    join(home, 'config.json'),
    typeof config === 'string' ? config : JSON.stringify(config ?? {}),
  );
  const command = addUpOptions(new Command('up'), 'desk')
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  command.parse(['--home', home, ...parameters], { from: 'user' });
  return readUpOptions(command);
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
  ]) {
    assert.throws(() => read(parameters), /.+/);
  }
  for (const config of [{ nonsense: 1 }, { threads: 'x' }, { threads: {} }, '[]', '{', { 'api-port': -1 }]) {
    assert.throws(() => read([], config), { code: 'invalid_request' });
  }
});
