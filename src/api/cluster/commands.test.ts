/** What people ask of the cluster over HTTP: instances, nodes, cancels and faults, from any node. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ShoalError } from '../../shared/errors.js';
import type { Failpoint } from '../../shared/failpoints.js';
import type { NodeId, RunnerId } from '../../shared/ids.js';
import { chatBody, post, startTestApi, TEST_STATE, type TestApi } from '../testing/testApi.js';
import { instanceSchema } from './stateForm.js';

const BOUND_MS = 10_000;

const INSTANCE = {
  instance_id: 'i1',
  meta_instance_id: null,
  model_id: 'tiny',
  sharding: 'Pipeline',
  transport: 'Ring',
  attempt: 1,
  status: 'ready',
  context_length: 4096,
  max_sequences: 16,
  shards: [
    {
      rank: 0,
      world_size: 1,
      node_id: 'n1',
      runner_id: 'r1',
      start_layer: 0,
      end_layer: 8,
      memory_bytes: 64,
    },
  ],
};

let api: TestApi;
const failed: [Failpoint, { nodeId: NodeId | null; runnerId: RunnerId | null }][] = [];
before(async () => {
  api = await startTestApi({
    failpoints: {
      fail: async (failpoint, target) => {
        failed.push([failpoint, target]);
        return target.runnerId === 'gone' ? 0 : 1;
      },
    },
  });
  const dead = { node_id: 'n2', name: 'old', status: 'dead' };
  api.state = { ...TEST_STATE, nodes: { ...TEST_STATE.nodes, n2: dead }, instances: { i1: INSTANCE } };
});
after(() => api.close());

async function call(method: string, path: string) {
  const response = await fetch(api.url + path, { method, signal: AbortSignal.timeout(BOUND_MS) });
  const body = (await response.json()) as Record<string, unknown> & {
    error?: { code: string; param: string };
  };
  return { status: response.status, body };
}

test('an instance is shown under its id, and nothing under what every object has', async () => {
  const shown = await call('GET', '/instance/i1');
  assert.equal(shown.status, 200);
  assert.deepEqual(instanceSchema.parse(shown.body), INSTANCE);
  for (const id of ['i2', '__proto__', 'constructor', 'toString', '%20']) {
    const missing = await call('GET', `/instance/${id}`);
    assert.deepEqual([missing.status, missing.body.error?.code], [404, 'not_found'], id);
  }
});

test('an instance is deleted from any node, again with the same answer, and refusals keep their codes', async () => {
  for (let times = 0; times < 2; times += 1) {
    assert.deepEqual(await call('DELETE', '/instance/i1'), { status: 202, body: { instance_id: 'i1' } });
  }
  assert.deepEqual(api.commands.deleted, ['i1', 'i1']);
  for (const code of ['not_found', 'not_ready'] as const) {
    api.commands.refusal = new ShoalError(code, 'no');
    const refused = await call('DELETE', '/instance/i1');
    assert.equal(refused.body.error?.code, code);
  }
  api.commands.refusal = null;
});

test('a dead node is forgotten; an unknown one is not found, one that lives is refused', async () => {
  assert.deepEqual(await call('POST', '/nodes/n2/forget'), { status: 200, body: { node_id: 'n2' } });
  assert.deepEqual(api.commands.forgotten, ['n2']);
  assert.equal((await call('POST', '/nodes/n9/forget')).body.error?.code, 'not_found');
  assert.equal((await call('POST', '/nodes/__proto__/forget')).body.error?.code, 'not_found');
  assert.deepEqual(api.commands.forgotten, ['n2']);
  api.commands.refusal = new ShoalError(
    'invalid_request',
    'node n1 is alive; only a dead node can be forgotten',
  );
  const refused = await call('POST', '/nodes/n1/forget');
  assert.deepEqual([refused.status, refused.body.error?.code], [400, 'invalid_request']);
  api.commands.refusal = null;
});

test('wrong methods on these paths name the right ones', async () => {
  const response = await fetch(`${api.url}/instance/i1`, {
    method: 'PUT',
    signal: AbortSignal.timeout(BOUND_MS),
  });
  await response.text();
  assert.equal(response.status, 405);
  assert.equal(response.headers.get('allow'), 'DELETE, GET, HEAD');
});

test('a cancel waits for the nodes that it asks, and says when not all of them answered', async (context) => {
  const unknown = await call('POST', '/v1/cancel/never-was');
  assert.deepEqual([unknown.status, unknown.body.error?.code], [404, 'not_found']);
  context.mock.method(api.generations, 'cancel', async () => {
    throw new ShoalError('node_lost', 'node n2 did not answer');
  });
  assert.equal((await call('POST', '/v1/cancel/some')).body.error?.code, 'node_lost');
  context.mock.method(api.generations, 'cancel', async () => true);
  assert.deepEqual((await call('POST', '/v1/cancel/some')).body, { command_id: 'some', cancelled: true });
});

test('an answer names the node that serves it, and a refusal the node that gives it', async () => {
  const served = await post(api, '/v1/chat/completions', chatBody('tiny'));
  await served.text();
  assert.equal(served.headers.get('x-node-id'), 'node-in-memory');
  const refused = await post(api, '/v1/chat/completions', chatBody('nonsense'));
  await refused.text();
  assert.equal(refused.headers.get('x-node-id'), 'n1');
});

test('a failpoint goes to the node that it names, when there is one', async () => {
  const fail = async (body: unknown) => (await post(api, '/debug/failpoints', body)).status;
  assert.equal(await fail({ name: 'runner.die' }), 200);
  assert.equal(await fail({ name: 'runner.slow_token', arg: 5, node_id: 'n2', runner_id: 'r1' }), 200);
  assert.equal(await fail({ name: 'runner.die', node_id: 'n9' }), 404);
  assert.equal(await fail({ name: 'runner.die', runner_id: 'gone' }), 404);
  assert.equal(await fail({ name: 'nonsense' }), 400);
  assert.deepEqual(failed.slice(0, 2), [
    [
      { name: 'runner.die', arg: null },
      { nodeId: null, runnerId: null },
    ],
    [
      { name: 'runner.slow_token', arg: '5' },
      { nodeId: 'n2', runnerId: 'r1' },
    ],
  ]);
});
