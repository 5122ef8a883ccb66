/** The cluster protocol over HTTP. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startTestApi, TEST_STATE, type TestApi } from '../testing/testApi.js';
import { statePart } from './statePath.js';

let api: TestApi;
before(async () => {
  api = await startTestApi();
});
after(() => api.close());

const get = async (path: string) => {
  const response = await fetch(api.url + path);
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
};

test('R72: /health answers always, /ready with its reason', async () => {
  assert.deepEqual(JSON.parse((await get('/health')).text), { status: 'ok', node_id: 'n1' });
  assert.equal((await get('/ready')).status, 200);
  api.notReady = 'it has not the state of a master yet';
  const refused = await get('/ready');
  assert.equal(refused.status, 503);
  assert.equal(JSON.parse(refused.text).error.code, 'not_ready');
  assert.match(refused.text, /not ready: it has not the state of a master yet/);
  assert.equal((await get('/health')).status, 200);
  api.notReady = null;
});

test('R72: /metrics is Prometheus text, /node_id a JSON string', async () => {
  const metrics = await get('/metrics');
  assert.equal(metrics.text, 'shoal_up 1\n');
  assert.match(metrics.type ?? '', /^text\/plain; version=0\.0\.4/);
  const node = await get('/node_id');
  assert.equal(JSON.parse(node.text), 'n1');
  assert.match(node.type ?? '', /^application\/json/);
});

test('R72: /state is the whole, and its paths are parts, dotted or slashed', async () => {
  assert.deepEqual(JSON.parse((await get('/state')).text), TEST_STATE);
  for (const path of ['nodes.n1.memory', 'nodes/n1/memory', 'nodes/n1.memory', 'nodes/n1/memory/']) {
    assert.deepEqual(JSON.parse((await get(`/state/${path}`)).text), TEST_STATE.nodes.n1.memory, path);
  }
  assert.equal(JSON.parse((await get('/state/index')).text), 7);
  assert.equal(JSON.parse((await get('/state/nodes/n1/addresses/1')).text), 'b');
  assert.equal(JSON.parse((await get('/state/nodes.n1.node_id')).text), 'n1');
  const missing = await get('/state/nodes/n2');
  assert.equal(missing.status, 404);
  assert.equal(JSON.parse(missing.text).error.code, 'not_found');
});

test('parts of the state are found under ids that hold separators, and never outside of it', () => {
  assert.deepEqual(statePart(TEST_STATE, 'model_cards/owner/qwen2.5'), { layers: 8 });
  assert.equal(statePart(TEST_STATE, 'model_cards.owner/qwen2.5.layers'), 8);
  assert.equal(statePart({ a: null }, 'a'), null);
  for (const path of [
    '__proto__',
    'constructor.name',
    'nodes/n1/addresses/length',
    'index/toFixed',
    '..',
    '/',
    'a..b',
  ]) {
    assert.equal(statePart(TEST_STATE, path), undefined, path);
  }
});

test('/models lists the models with what they need and why not', async () => {
  for (const path of ['/models', '/v1/models', '/models?status=downloaded']) {
    const { data } = JSON.parse((await get(path)).text);
    assert.equal(data.length, path.endsWith('downloaded') ? 2 : 3);
    assert.equal(data[0].runnable, true);
    assert.equal(data[0].memory.total_bytes, 6);
    assert.equal(data[1].runnable, false);
    assert.equal(data[1].refusal, 'no tensors');
    assert.equal(data[0].path, undefined);
    assert.equal(data[0].downloaded, true);
  }
  const elsewhere = JSON.parse((await get('/v1/models/elsewhere')).text);
  assert.deepEqual([elsewhere.runnable, elsewhere.downloaded], [true, false], 'served by another node only');
  assert.equal((await get('/models?status=wished')).status, 400);
  assert.equal((await get('/v1/models/tiny')).status, 200);
  assert.equal((await get('/v1/models/owner/broken')).status, 200);
  assert.equal(JSON.parse((await get('/v1/models/none')).text).error.code, 'model_not_found');
});

test('/ is a page that names the addresses', async () => {
  const page = await get('/');
  assert.match(page.type ?? '', /^text\/html/);
  for (const path of ['/v1/chat/completions', '/v1/models', '/state', '/openapi.json'])
    assert.ok(page.text.includes(path));
});
