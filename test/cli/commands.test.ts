/** The commands as people run them: output, exit codes 0, 1 and 2, errors on stderr with what to do. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startTestApi, TEST_STATE, type TestApi } from '../../src/api/testing/testApi.js';
import { loadClusterKey } from '../../src/cluster/clusterKey.js';
import { formatToken, KEY_BYTES } from '../../src/cluster/joinToken.js';
import { ShoalError } from '../../src/shared/errors.js';
import { shoal, start } from './shoal.js';

const BOUND = { timeout: 60_000 };
const NODES = {
  n1: { node_id: 'n1', name: 'desk', status: 'alive', memory: TEST_STATE.nodes.n1.memory },
  n2: { node_id: 'n2', name: 'old', status: 'dead' },
};
const INSTANCE = {
  instance_id: 'i-0123456789',
  meta_instance_id: null,
  attempt: 1,
  model_id: 'tiny',
  status: 'ready',
  shards: [{ node_id: 'n1', runner_id: 'r1' }],
};

/** What became of the wish that the test makes. */
const WISH = {
  meta_instance_id: 'm1',
  model_id: 'large',
  status: 'failed',
  consecutive_failures: 4,
  max_retries: 3,
  errors: [{ at: '2026-01-01T00:00:00.000Z', node_id: 'n1', message: 'desk: killed by SIGKILL' }],
  placement_error: null,
  next_attempt_at: null,
};

describe('commands', { concurrency: 2 }, () => {
  let api: TestApi;
  let home: string;
  before(async () => {
    home = mkdtempSync(join(tmpdir(), 'shoal-cli-'));
    api = await startTestApi();
    api.state = {
      ...TEST_STATE,
      node_id: 'n1',
      master_node_id: 'n1',
      nodes: NODES,
      links: [],
      instances: { [INSTANCE.instance_id]: INSTANCE },
      meta_instances: { m1: WISH },
      runners: { r1: { status: 'ready', restarts: 0, restart_at: null } },
      tasks: {},
    };
  });
  after(async () => {
    await api.close();
    rmSync(home, { recursive: true });
  });

  test('token prints the token alone, and makes nothing where there is none', BOUND, async () => {
    const none = join(home, 'never-started');
    const missing = await shoal(['token', '--home', none]);
    assert.deepEqual([missing.code, missing.stdout], [1, '']);
    assert.match(missing.stderr, /no node was ever started .*\(no_cluster\)\n {2}Start one with `shoal up`/);
    assert.ok(!existsSync(none));
    const token = formatToken(loadClusterKey(home, null));
    assert.deepEqual(await shoal(['token', '--home', home]), { code: 0, stdout: `${token}\n`, stderr: '' });
    const json = await shoal(['token', '--json'], { SHOAL_HOME: home });
    assert.deepEqual(JSON.parse(json.stdout), { token });
  });

  test('wrong usage is 2, and does not repeat a token', BOUND, async () => {
    const token = formatToken(Buffer.alloc(KEY_BYTES, 7));
    const wrong = `${token.slice(0, -1)}${token.endsWith('a') ? 'b' : 'a'}`;
    for (const parameters of [
      ['join', '--home', home],
      ['join', wrong, '--home', home],
      ['up', '--token', wrong, '--home', home],
      ['up', '--peer', 'no address', '--home', home],
      ['delete'],
      ['deploy'],
      ['retry'],
      ['forget'],
      ['nonsense'],
      ['chat', 'tiny', 'hi', '--temperature', 'warm'],
      ['bench', 'tiny', '--rounds', '0'],
      ['status', '--url', '127.0.0.1:52415'],
    ]) {
      const { code, stdout, stderr } = await shoal(parameters);
      assert.deepEqual([code, stdout], [2, ''], parameters.join(' '));
      assert.match(stderr, /^error: /);
      assert.ok(!stderr.includes(wrong));
    }
  });

  test('status and instances show the cluster, as text and as JSON', BOUND, async () => {
    const status = await shoal(['status', '--url', api.url]);
    assert.deepEqual([status.code, status.stderr], [0, '']);
    assert.match(status.stdout, /^desk +alive, master/m);
    assert.match(status.stdout, /Node old is dead/);
    const { stdout } = await shoal(['status', '--json'], { SHOAL_URL: api.url });
    assert.deepEqual(JSON.parse(stdout), api.state);
    const list = (await shoal(['instances', '--url', api.url])).stdout;
    assert.match(list, /^i-012345 +tiny +ready +desk$/m);
    assert.match(list, /^m1 +large +failed +3\/3$/m);
    assert.match(list, /desk: killed by SIGKILL\n.*shoal retry m1$/m);
    const listed = await shoal(['instances', '--url', api.url, '--json']);
    assert.deepEqual(JSON.parse(listed.stdout), { meta_instances: [WISH], instances: [INSTANCE] });
  });

  test('delete and forget name what they did; a refusal is 1 with its reason', BOUND, async () => {
    const deleted = await shoal(['delete', 'i-01', '--url', api.url]);
    assert.deepEqual([deleted.code, api.commands.deleted], [0, ['i-0123456789']]);
    assert.match(deleted.stdout, /Instance i-0123456789 of tiny is deleted/);
    const json = await shoal(['delete', 'tiny', '--url', api.url, '--json']);
    assert.deepEqual(JSON.parse(json.stdout), { instance_id: 'i-0123456789' });
    assert.equal((await shoal(['forget', 'old', '--url', api.url])).stdout, 'Node old (n2) is forgotten.\n');
    assert.deepEqual(api.commands.forgotten, ['n2']);
    api.commands.refusal = new ShoalError('invalid_request', 'only a dead node can be forgotten');
    for (const [parameters, reason] of [
      [['forget', 'desk'], /only a dead node can be forgotten \(invalid_request\)/],
      [['retry', 'tiny'], /there is no MetaInstance "tiny"; see `shoal status` \(not_found\)/],
      [['delete', 'none'], /there is no instance "none"; see `shoal status` \(not_found\)/],
    ] as const) {
      const refused = await shoal([...parameters, '--url', api.url]);
      assert.deepEqual([refused.code, refused.stdout], [1, '']);
      assert.match(refused.stderr, reason);
    }
  });

  test('without a node, commands say how to start one', BOUND, async () => {
    const { code, stderr } = await shoal(['status', '--url', 'http://127.0.0.1:9']);
    assert.equal(code, 1);
    assert.match(stderr, /no node answers at .*start one with shoal up \(not_ready\)/);
  });

  test('R84: a bench whose stream failed does not wait for the others', BOUND, async () => {
    let asked = 0;
    const server = createServer((_, response) => {
      asked += 1;
      if (asked === 2) response.writeHead(503).end('{"error":{"code":"queue_full","message":"too many"}}');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { code, stderr } = await shoal(['bench', 'tiny', '--concurrency', '3', '--url', url]);
    server.closeAllConnections();
    server.close();
    assert.equal(code, 1);
    assert.match(stderr, /too many \(queue_full\)/);
  });

  test('R84: a home that the kernel lets nobody make, or that is a file, is refused', {
    ...BOUND,
    skip: process.platform !== 'linux',
  }, async () => {
    const file = join(home, 'file');
    writeFileSync(file, '');
    for (const [folder, reason] of [
      ['/proc/shoal', 'ENOENT'],
      [file, 'EEXIST'],
      // Versions of Node.js differ in which of the two they say.
      [join(file, 'deeper'), '(ENOTDIR|EEXIST)'],
    ] as const) {
      const { code, stderr } = await shoal(['up', '--home', folder, '--api-port', '0']);
      assert.equal(code, 1);
      assert.match(
        stderr,
        new RegExp(
          `^shoal: the home folder ${folder} cannot be used: ${reason}.*\\(invalid_request\\)$`,
          'm',
        ),
      );
    }
  });

  test('R84: a node whose model can never fit says why and ends', BOUND, async () => {
    const folder = join(home, 'too-small');
    const { code, stderr } = await shoal([
      'up',
      '--home',
      folder,
      '--memory',
      '10M',
      '--serve',
      'shoal-guide',
      '--api-port',
      '0',
      '--peer-port',
      '0',
      '--no-discovery',
    ]);
    assert.equal(code, 1);
    assert.match(stderr, /10\.0 MiB free\. \(placement_impossible\)/);
  });

  test('a node that is told to end while it starts exits 0', BOUND, async () => {
    const folder = join(home, 'starting');
    const parameters = ['up', '--home', folder, '--api-port', '0', '--peer-port', '0', '--no-discovery'];
    const child = start(parameters, {});
    const ended = once(child, 'exit');
    const limit = setTimeout(() => child.kill('SIGKILL'), BOUND.timeout / 2);
    while (!existsSync(join(folder, 'lock.json')) && child.exitCode === null) await sleep(5);
    child.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null]);
    clearTimeout(limit);
  });

  test('the help names every command, and up and join every option', BOUND, async () => {
    const { code, stdout } = await shoal(['--help']);
    assert.equal(code, 0);
    for (const command of 'up join token status deploy instances delete retry forget chat models bench doctor'.split(
      ' ',
    )) {
      assert.match(stdout, new RegExp(`^ {2}${command}\\b`, 'm'));
    }
    for (const command of ['up', 'join']) {
      const help = (await shoal([command, '--help'])).stdout;
      for (const option of OPTIONS) assert.ok(help.includes(option), `${command} ${option}`);
      assert.match(help, /today no part of Shoal\s+does/);
    }
  });
});

const OPTIONS = [
  '--name',
  '--home',
  '--api-host',
  '--api-port',
  '--peer-host',
  '--peer-port',
  '--token',
  '--peer',
  '--no-discovery',
  '--no-worker',
  '--no-api',
  '--serve',
  '--models',
  '--memory',
  '--threads',
  '--offline',
  '--api-key',
  '--failpoints',
  '--log-level',
  '--log-json',
];
