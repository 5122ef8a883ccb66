/** Two real nodes become one cluster with two commands, and either of them answers for both. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Node, shoal } from './shoal.js';

const BOUND = { timeout: 90_000 };
const PATIENCE_MS = 30_000;
const LOCAL = [
  '--api-port',
  '0',
  '--peer-host',
  '127.0.0.1',
  '--peer-port',
  '0',
  '--no-discovery',
  '--failpoints',
];

let folder: string;
let desk: Node;
let second: Node;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'shoal-join-'));
  const home = join(folder, 'desk');
  desk = await Node.start('up', '--name', 'desk', '--home', home, '--serve', 'shoal-guide', ...LOCAL);
  const token = (await shoal(['token', '--home', home])).stdout.trim();
  const peer = ['--peer', desk.told.peer_address ?? ''];
  second = await Node.start(
    ...['join', token, '--name', 'second', '--home', join(folder, 'second'), ...peer, ...LOCAL],
  );
}, BOUND);

after(async () => {
  await Promise.all([desk?.stop(), second?.stop()]);
  rmSync(folder, { recursive: true, force: true });
}, BOUND);

/** The status that `second` shows, as soon as it is as wanted. */
async function statusWith(wanted: RegExp): Promise<string> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const { stdout } = await shoal(['status', '--url', second.url]);
    if (wanted.test(stdout)) return stdout;
    assert.ok(Date.now() < deadline, stdout);
  }
}

test('the first line of a node tells its addresses', () => {
  assert.match(desk.told.peer_address ?? '', /^127\.0\.0\.1:\d+$/);
  assert.match(second.url, /^http:\/\/127\.0\.0\.1:\d+$/);
});

test('both nodes are shown, with the link between them and the model of the other', BOUND, async () => {
  const text = await statusWith(/^shoal-guide +ready +desk /m);
  assert.match(text, /^second +alive\S* .*this node/m);
  assert.match(text, /^desk +alive, master .* \d+\.\d\d ms/m);
});

test('a model of the other node is listed, awaited, answered and cancelled here', BOUND, async () => {
  const awaited = await (
    await fetch(`${second.url}/instance/await?model_id=shoal-guide&timeout_s=60`)
  ).text();
  assert.match(awaited, /event: ready\n/);
  const answer = await shoal([
    'chat',
    'shoal-guide',
    'What is Shoal?',
    '--max-tokens',
    '4',
    '--url',
    second.url,
  ]);
  assert.deepEqual([answer.code, answer.stderr], [0, '']);
  assert.ok(answer.stdout.trim().length > 0);
  const stream = await fetch(`${second.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'shoal-guide',
      messages: [{ role: 'user', content: 'Tell me a long story about a fox.' }],
      max_tokens: 2_000,
      ignore_eos: true,
      stream: true,
    }),
  });
  assert.equal(stream.headers.get('x-node-id'), desk.told.node_id, 'the node that serves');
  const commandId = stream.headers.get('x-command-id');
  const cancel = await fetch(`${desk.url}/v1/cancel/${commandId}`, { method: 'POST' });
  assert.equal(cancel.status, 200, 'on the node that it was not sent to');
  assert.match(await stream.text(), /"code":"cancelled"[\s\S]*data: \[DONE\]\n\n$/);
});

test('a fault is caused on the other node; its runner dies and comes back', BOUND, async () => {
  const fail = (body: object) =>
    fetch(`${second.url}/debug/failpoints`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'runner.die', ...body }),
    });
  assert.equal((await fail({})).status, 404, 'the node that was asked has no runner');
  assert.equal((await fail({ node_id: 'nobody' })).status, 404);
  assert.deepEqual(await (await fail({ node_id: desk.told.node_id })).json(), {
    failpoint: 'runner.die',
    runners: 1,
  });
  const text = await statusWith(/Since then it is ready again/);
  assert.match(text, /^shoal-guide on desk: .*SIGKILL/m);
});

test('a killed node is shown as dead, and forgotten when asked; a living one is not', BOUND, async () => {
  const refused = await shoal(['forget', 'second', '--url', second.url]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /only a dead node can be forgotten/);
  desk.child.kill('SIGKILL');
  const text = await statusWith(/Node desk is dead/);
  assert.match(text, /shoal forget desk$/m);
  await statusWith(/^second +alive, master/m);
  const forgotten = await shoal(['forget', 'desk', '--url', second.url]);
  assert.deepEqual([forgotten.code, forgotten.stderr], [0, '']);
  const left = (await shoal(['status', '--url', second.url])).stdout;
  assert.doesNotMatch(left, /^desk|Node desk|on desk/m, 'a failure that was told before may still name it');
});

test('R22: what ran on a node that was forgotten runs on the one that is left', BOUND, async () => {
  await statusWith(/^shoal-guide +ready +second /m);
});
