/** Placement over HTTP: shown before it happens, done once, and done as it was shown. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { ShoalError } from '../../shared/errors.js';
import { PLACED, REFUSED } from '../testing/placements.js';
import { post, startTestApi, type TestApi } from '../testing/testApi.js';
import { placementSchema, previewSchema } from './placementForm.js';

const BOUND_MS = 10_000;

let api: TestApi;
beforeEach(async () => {
  api = await startTestApi();
});
afterEach(() => api.close());

type Body = Record<string, unknown> & {
  readonly error?: { code: string; param: string; details?: { nodes: unknown[] } };
};
async function answerOf(pending: Promise<Response>) {
  const response = await pending;
  return { status: response.status, body: (await response.json()) as Body };
}
const get = (path: string) => answerOf(fetch(api.url + path, { signal: AbortSignal.timeout(BOUND_MS) }));

test('R41: a placement is shown with layers, memory by node and the reason of each node', async () => {
  api.commands.placing = PLACED;
  const { status, body } = await get('/instance/placement?model_id=owner/tiny');
  assert.equal(status, 200);
  assert.deepEqual(placementSchema.parse(body), body);
  const { model_id: modelId, memory_by_node: memory, context_length: context, nodes } = body;
  assert.deepEqual([modelId, memory, context], ['owner/tiny', { n1: 100, n2: 100 }, 4096]);
  assert.equal((nodes as unknown[]).length, 2);
  assert.deepEqual(api.commands.placed, [], 'and nothing is created');
});

test('R41: a refusal has the reason of each node, in the placement and in the previews', async () => {
  api.commands.placing = REFUSED;
  const refused = await get('/instance/placement?model_id=tiny');
  assert.deepEqual([refused.status, refused.body.error?.code], [400, 'placement_impossible']);
  const { body } = await get('/instance/previews?model_id=tiny');
  const [preview] = body.previews as unknown[];
  const { instance, memory_by_node: memory, error } = previewSchema.parse(preview);
  assert.deepEqual([instance, memory, error?.code], [null, null, 'placement_impossible']);
  assert.deepEqual(error?.details, refused.body.error?.details);
  api.commands.placing = PLACED;
  const fits = await get('/instance/previews?model_id=tiny');
  const [shown] = fits.body.previews as unknown[];
  const option = previewSchema.parse(shown);
  assert.deepEqual(option, shown);
  assert.deepEqual([option.memory_by_node, option.error], [{ n1: 100, n2: 100 }, null]);
});

test('a query says the same as a body, and its mistakes are named', async (context) => {
  const asked: unknown[] = [];
  context.mock.method(api.commands, 'placement', async (wish: unknown) => {
    asked.push(wish);
    return PLACED;
  });
  const whole =
    'model_id=tiny&sharding=Tensor&transport=Mesh&min_nodes=2&node_ids=n1,n2&require_rdma=true&context_length=512&max_sequences=3';
  assert.equal((await get(`/instance/placement?${whole}`)).status, 200);
  const again = whole.replace('n1,n2', 'n1&node_ids=n2');
  assert.equal((await get(`/instance/placement?${again}`)).status, 200);
  const wish = {
    modelId: 'tiny',
    sharding: 'Tensor',
    transport: 'Mesh',
    minNodes: 2,
    nodeIds: ['n1', 'n2'],
    requireRdma: true,
    contextTokens: 512,
    sequences: 3,
  };
  assert.deepEqual(asked, [wish, wish]);
  for (const [query, param] of [
    ['', 'model_id'],
    ['model_id=tiny&min_nodes=two', 'min_nodes'],
    ['model_id=tiny&min_nodes=0', 'min_nodes'],
    ['model_id=tiny&max_sequences=999999999', 'max_sequences'],
    ['model_id=tiny&max_sequences=1e3', 'max_sequences'],
    ['model_id=tiny&require_rdma=1', 'require_rdma'],
    ['model_id=tiny&node_ids=', 'node_ids[0]'],
    ['model_id=tiny&node_ids=n1,', 'node_ids[1]'],
    ['model_id=tiny&nodes=n1', 'nodes'],
    ['model_id=tiny&model_id=other', 'model_id'],
  ]) {
    for (const path of ['placement', 'previews']) {
      const { status, body } = await get(`/instance/${path}?${query}`);
      assert.deepEqual([status, body.error?.param], [400, param], query);
    }
  }
  assert.equal(asked.length, 2);
});

test('R34: an instance is placed at once with its id, or refused with the reasons', async () => {
  api.commands.placing = PLACED;
  const shown = { instance_id: 'i1', model_id: 'tiny', status: 'starting', shards: [] };
  api.state = { ...api.state, instances: { i1: shown } };
  const placed = await answerOf(post(api, '/place_instance', { model_id: 'tiny', min_nodes: 2 }));
  assert.deepEqual([placed.status, placed.body], [202, { instance_id: 'i1', instance: shown }]);
  api.commands.placing = { ...REFUSED, canFitLater: true };
  const refused = await answerOf(post(api, '/place_instance', { model_id: 'tiny' }));
  assert.deepEqual([refused.status, refused.body.error?.code], [400, 'placement_impossible']);
  assert.equal(refused.body.error?.details?.nodes.length, 1);
  assert.equal(api.commands.placed.length, 1);
  api.commands.placing = PLACED;
  await answerOf(post(api, '/place_instance', { model_id: 'tiny' }, { 'Idempotency-Key': 'form 8' }));
  assert.deepEqual(api.commands.keys, [null, null, 'form 8']);
});

test('R41: what was shown can be sent back as it is, and is what the cluster is asked for', async () => {
  api.commands.placing = PLACED;
  const { body: instance } = await get('/instance/placement?model_id=tiny');
  const created = await answerOf(post(api, '/instance', { instance }));
  assert.deepEqual([created.status, created.body], [202, { instance_id: 'i1', instance: null }]);
  const shards = PLACED.shards.map(({ rank, nodeId, startLayer, endLayer, memory }) => ({
    rank,
    worldSize: 2,
    nodeId,
    startLayer,
    endLayer,
    memoryBytes: memory.totalBytes,
  }));
  assert.deepEqual(api.commands.placed, [
    {
      modelId: 'tiny',
      sharding: 'Pipeline',
      transport: 'Ring',
      contextLength: 4096,
      maxSequences: 16,
      cacheCells: 8192,
      shards,
    },
  ]);
  api.commands.refusal = new ShoalError('placement_impossible', 'the memory is gone by now');
  assert.equal(
    (await answerOf(post(api, '/instance', { instance }))).body.error?.code,
    'placement_impossible',
  );
});

test('an instance whose shards do not fit each other is refused before anybody is asked', async () => {
  api.commands.placing = PLACED;
  const { body: instance } = await get('/instance/placement?model_id=tiny');
  const [first, second] = instance.shards as [object, object];
  for (const [change, param] of [
    [{ shards: [] }, 'instance.shards'],
    [{ shards: [second, first] }, 'instance.shards'],
    [{ shards: [first] }, 'instance.shards'],
    [{ shards: [first, { ...second, rank: 0 }] }, 'instance.shards'],
    [{ shards: [first, { ...second, node_id: 'n1' }] }, 'instance.shards'],
    [{ shards: [first, { ...second, start_layer: 6 }] }, 'instance.shards'],
    [{ shards: [first, { ...second, end_layer: 5 }] }, 'instance.shards'],
    [{ shards: [first, { ...second, memory_bytes: -1 }] }, 'instance.shards[1].memory_bytes'],
    [{ shards: [first, { ...second, runner_id: 'r' }] }, 'instance.shards[1].runner_id'],
    [{ sharding: 'Tensor' }, 'instance.shards'],
    [{ cache_cells: 1 }, 'instance.cache_cells'],
    [{ instance_id: 'mine' }, 'instance.instance_id'],
    [{ model_id: undefined }, 'instance.model_id'],
  ] as const) {
    const { status, body } = await answerOf(post(api, '/instance', { instance: { ...instance, ...change } }));
    assert.deepEqual([status, body.error?.param], [400, param], JSON.stringify(change));
  }
  const slices = [first, second].map((shard) => ({ ...shard, start_layer: 0, end_layer: 8 }));
  const sliced = { ...instance, sharding: 'Tensor', shards: slices };
  assert.equal((await answerOf(post(api, '/instance', { instance: sliced }))).status, 202);
  assert.equal(api.commands.placed.length, 1);
});
