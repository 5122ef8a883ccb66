/** Wishes over HTTP: taken, listed, retried, taken back, and refused with reasons. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { ShoalError } from '../../shared/errors.js';
import { LIMITS } from '../../shared/limits.js';
import { REFUSED } from '../testing/placements.js';
import { post, startTestApi, TEST_STATE, type TestApi } from '../testing/testApi.js';
import { metaInstanceSchema } from './stateForm.js';

const BOUND_MS = 10_000;

const WISH = {
  meta_instance_id: 'm1',
  model_id: 'tiny',
  sharding: 'Pipeline',
  transport: 'Ring',
  min_nodes: null,
  node_ids: null,
  require_rdma: false,
  status: 'retrying',
  consecutive_failures: 2,
  max_retries: 3,
  errors: [{ at: '2026-01-01T00:00:00.000Z', node_id: 'n1', message: 'killed by SIGKILL' }],
  placement_error: null,
  next_attempt_at: '2026-01-01T00:00:04.000Z',
  created_at: '2026-01-01T00:00:00.000Z',
};

let api: TestApi;
beforeEach(async () => {
  api = await startTestApi();
  api.state = { ...TEST_STATE, meta_instances: { m1: WISH } };
});
afterEach(() => api.close());

async function answerOf(pending: Promise<Response>) {
  const response = await pending;
  return { status: response.status, body: (await response.json()) as Body };
}
type Body = Record<string, unknown> & {
  readonly error?: { code: string; param: string; details?: { nodes: unknown[] } };
};
const call = (method: string, path: string) =>
  answerOf(fetch(api.url + path, { method, signal: AbortSignal.timeout(BOUND_MS) }));
const create = (body: unknown) => answerOf(post(api, '/meta_instance', body));

test('R21: a wish is answered with its id and itself after the master has taken it', async () => {
  const taken = await create({ model_id: 'tiny' });
  assert.deepEqual([taken.status, taken.body], [201, { meta_instance_id: 'm1', meta_instance: WISH }]);
  assert.deepEqual(api.commands.wishes, [
    {
      modelId: 'tiny',
      sharding: 'Pipeline',
      transport: 'Ring',
      minNodes: null,
      nodeIds: null,
      requireRdma: false,
      contextTokens: null,
      sequences: null,
    },
  ]);
  api.commands.refusal = new ShoalError('not_ready', 'no master answered');
  const refused = await create({ model_id: 'tiny' });
  assert.deepEqual([refused.status, refused.body.error?.code], [503, 'not_ready']);
});

test('R20: the key of a client reaches the cluster with what it is for, and one that is none is refused', async () => {
  const key = { 'Idempotency-Key': 'form 7' };
  assert.equal((await post(api, '/meta_instance', { model_id: 'tiny' }, key)).status, 201);
  assert.equal((await post(api, '/meta_instance', { model_id: 'tiny' })).status, 201);
  assert.deepEqual(api.commands.keys, ['form 7', null]);
  for (const wrong of ['', 'x'.repeat(LIMITS.idempotencyKeyCharacters + 1)]) {
    const refused = await post(api, '/meta_instance', { model_id: 'tiny' }, { 'Idempotency-Key': wrong });
    assert.equal(refused.status, 400);
    assert.match(await refused.text(), /idempotency-key/);
  }
  api.commands.refusal = new ShoalError('idempotency_key_reused', 'it was sent before');
  assert.equal((await post(api, '/meta_instance', { model_id: 'large' }, key)).status, 422);
});

test('R20: every field of a wish reaches the cluster, and one that is gone again is answered as null', async () => {
  api.state = TEST_STATE;
  const taken = await create({
    model_id: 'owner/large',
    sharding: 'Tensor',
    transport: 'Mesh',
    min_nodes: 2,
    node_ids: ['n1', 'n2', 'n1'],
    require_rdma: true,
    context_length: 8192,
    max_sequences: 4,
  });
  assert.deepEqual(taken.body, { meta_instance_id: 'm1', meta_instance: null });
  assert.deepEqual(api.commands.wishes, [
    {
      modelId: 'owner/large',
      sharding: 'Tensor',
      transport: 'Mesh',
      minNodes: 2,
      nodeIds: ['n1', 'n2'],
      requireRdma: true,
      contextTokens: 8192,
      sequences: 4,
    },
  ]);
});

test('R34: a wish that can never fit is refused with the reason of each node, one that may fit later is taken', async () => {
  api.commands.placing = REFUSED;
  const refused = await create({ model_id: 'tiny' });
  assert.deepEqual([refused.status, refused.body.error?.code], [400, 'placement_impossible']);
  assert.deepEqual(refused.body.error?.details?.nodes, [
    {
      node_id: 'n1',
      name: 'desk',
      code: 'too_little_memory',
      reason: 'cannot hold even the smallest shard: 1.0 GiB of 2.0 GiB are free',
      offered_bytes: 2 ** 31,
      free_bytes: 2 ** 30,
    },
  ]);
  api.commands.placing = { ...REFUSED, canFitLater: true };
  assert.equal((await create({ model_id: 'tiny' })).status, 201);
});

test('a malformed wish is refused by the name of its field, and reaches nobody', async () => {
  const tiny = { model_id: 'tiny' };
  const many = Array.from({ length: 100_000 }, (_, index) => `n${index}`);
  for (const [body, param] of [
    [{}, 'model_id'],
    [{ model_id: '' }, 'model_id'],
    [{ model_id: 'x'.repeat(300) }, 'model_id'],
    [{ ...tiny, model: 'tiny' }, 'model'],
    [{ ...tiny, sharding: 'pipeline' }, 'sharding'],
    [{ ...tiny, transport: 7 }, 'transport'],
    [{ ...tiny, min_nodes: 0 }, 'min_nodes'],
    [{ ...tiny, min_nodes: 1e9 }, 'min_nodes'],
    [{ ...tiny, node_ids: [] }, 'node_ids'],
    [{ ...tiny, node_ids: [''] }, 'node_ids[0]'],
    [{ ...tiny, node_ids: many }, 'node_ids'],
    [{ ...tiny, require_rdma: 'yes' }, 'require_rdma'],
    [{ ...tiny, context_length: 1.5 }, 'context_length'],
    [{ ...tiny, context_length: -1 }, 'context_length'],
    [{ ...tiny, max_sequences: 2 ** 40 }, 'max_sequences'],
  ] as const) {
    const { status, body: answer } = await create(body);
    assert.deepEqual(
      [status, answer.error?.code, answer.error?.param],
      [400, 'invalid_request', param],
      JSON.stringify(body).slice(0, 80),
    );
  }
  for (const body of [[], 'nonsense', null]) assert.equal((await create(body)).status, 400);
  assert.deepEqual(api.commands.wishes, []);
});

test('R21: wishes are listed and shown, and nothing under what every object has', async () => {
  assert.deepEqual((await call('GET', '/meta_instances')).body, [WISH]);
  const shown = await call('GET', '/meta_instance/m1');
  assert.deepEqual(metaInstanceSchema.parse(shown.body), WISH);
  for (const id of ['m2', '__proto__', 'constructor', '%20']) {
    const missing = await call('GET', `/meta_instance/${id}`);
    assert.deepEqual([missing.status, missing.body.error?.code], [404, 'not_found'], id);
  }
});

test('R28, R30: a wish is tried again and taken back from any node, and refusals keep their codes', async () => {
  const retried = await call('POST', '/meta_instance/m1/retry');
  assert.deepEqual([retried.status, retried.body], [202, { meta_instance_id: 'm1', meta_instance: WISH }]);
  for (let times = 0; times < 2; times += 1) {
    const gone = await call('DELETE', '/meta_instance/m1');
    assert.deepEqual([gone.status, gone.body], [202, { meta_instance_id: 'm1' }]);
  }
  assert.deepEqual([api.commands.retried, api.commands.takenBack], [['m1'], ['m1', 'm1']]);
  for (const [code, status] of [
    ['not_found', 404],
    ['not_ready', 503],
  ] as const) {
    api.commands.refusal = new ShoalError(code, 'no');
    for (const [method, path] of [
      ['DELETE', '/meta_instance/m9'],
      ['POST', '/meta_instance/m9/retry'],
    ] as const) {
      const refused = await call(method, path);
      assert.deepEqual([refused.status, refused.body.error?.code], [status, code]);
    }
  }
});
