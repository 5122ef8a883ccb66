/** The document says what the server does. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { generationStatsSchema } from '../bench/generationStats.js';
import { chatChunkSchema, chatCompletionSchema } from '../openai/chatAnswer.js';
import { completionSchema } from '../openai/completionAnswer.js';
import { modelListSchema } from '../openai/models.js';
import { chatBody, post, startTestApi, streamData, type TestApi } from '../testing/testApi.js';

interface Operation {
  readonly operationId: string;
  readonly parameters?: { readonly name: string; readonly in: string; readonly required?: boolean }[];
  readonly requestBody?: { readonly content: Record<string, { readonly schema: unknown }> };
  readonly responses: Record<
    string,
    { readonly description: string; readonly content?: Record<string, unknown> }
  >;
}
interface Document {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string };
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, unknown> };
}

let api: TestApi;
let document: Document;
before(async () => {
  api = await startTestApi();
  document = (await (await fetch(`${api.url}/openapi.json`)).json()) as Document;
});
after(() => api.close());

const ROUTES = [
  'delete /instance/{id}',
  'delete /meta_instance/{id}',
  'get /',
  'get /activity',
  'get /events',
  'get /health',
  'get /instance/await',
  'get /instance/placement',
  'get /instance/previews',
  'get /instance/{id}',
  'get /meta_instance/{id}',
  'get /meta_instances',
  'get /metrics',
  'get /models',
  'get /node_id',
  'get /openapi.json',
  'get /ready',
  'get /state',
  'get /state/{path}',
  'get /v1/models',
  'get /v1/models/{id}',
  'post /bench/chat/completions',
  'post /instance',
  'post /join_token',
  'post /meta_instance',
  'post /meta_instance/{id}/retry',
  'post /nodes/{id}/forget',
  'post /place_instance',
  'post /v1/cancel/{command_id}',
  'post /v1/chat/completions',
  'post /v1/completions',
];

test('R72: the document is OpenAPI 3.1 and lists every route', () => {
  assert.match(document.openapi, /^3\.1\./);
  assert.match(document.info.version, /^\d+\.\d+\.\d+/);
  const listed = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods)
      .filter((method) => method !== 'head')
      .map((method) => `${method} ${path}`),
  );
  assert.deepEqual(listed.sort(), ROUTES);
});

test('each operation has a name of its own, its path parameters, a success and coded errors', () => {
  const names = new Set<string>();
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      if (method === 'head') continue;
      assert.ok(!names.has(operation.operationId), operation.operationId);
      names.add(operation.operationId);
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
      const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path');
      assert.deepEqual(
        declared.map((parameter) => parameter.name),
        inPath,
      );
      assert.ok(declared.every((parameter) => parameter.required === true));
      const success = ['201', '202'].find((status) => status in operation.responses) ?? '200';
      for (const status of [success, '400', '401', '403', '500']) {
        assert.ok(operation.responses[status]?.description, `${method} ${path} ${status}`);
        assert.ok(Object.keys(operation.responses[status]?.content ?? {}).length > 0);
      }
    }
  }
  const chat = document.paths['/v1/chat/completions']?.post;
  for (const status of ['404', '413', '415', '429', '502', '503', '504'])
    assert.ok(chat?.responses[status], status);
  assert.ok(chat?.requestBody?.content['application/json']);
});

test('every reference in the document leads somewhere', () => {
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(
    (match) => match[1] as string,
  );
  const referred = new Set(references.map((reference) => reference.split('/').at(-1)));
  assert.deepEqual(
    Object.keys(document.components.schemas).sort(),
    [...referred].sort(),
    'and none is left over',
  );
  assert.ok('ChatCompletionRequest' in document.components.schemas);
  for (const reference of references) {
    const name = /^#\/components\/schemas\/([\w-]+)$/.exec(reference)?.[1];
    assert.ok(name !== undefined && name in document.components.schemas, reference);
  }
});

test('answers have the form that their schemas describe', async () => {
  const strict = { logprobs: true, top_logprobs: 2, n: 2, max_tokens: 3 };
  const whole = await (await post(api, '/v1/chat/completions', chatBody('tiny', strict))).json();
  assert.deepEqual(chatCompletionSchema.parse(whole), whole);
  const stream = await post(
    api,
    '/v1/chat/completions',
    chatBody('tiny', { ...strict, stream: true, stream_options: { include_usage: true } }),
  );
  for (const chunk of streamData(await stream.text())) assert.deepEqual(chatChunkSchema.parse(chunk), chunk);
  const text = await (await post(api, '/v1/completions', { model: 'tiny', prompt: 'x', logprobs: 2 })).json();
  assert.deepEqual(completionSchema.parse(text), text);
  const textStream = await post(api, '/v1/completions', { model: 'tiny', prompt: 'x', stream: true });
  for (const chunk of streamData(await textStream.text()))
    assert.deepEqual(completionSchema.parse(chunk), chunk);
  const models = await (await fetch(`${api.url}/v1/models`)).json();
  assert.deepEqual(modelListSchema.parse(models), models);
});

test('the bench variant adds its statistics, whole and streamed', async () => {
  const whole = (await (await post(api, '/bench/chat/completions', chatBody('tiny'))).json()) as {
    generation_stats: unknown;
  };
  const stats = generationStatsSchema.parse(whole.generation_stats);
  assert.equal(stats.generation_tokens, 12);
  assert.equal(stats.prefix_cache_hit, 'none');
  const stream = await post(api, '/bench/chat/completions', chatBody('tiny', { stream: true }));
  const last = streamData(await stream.text()).at(-1) as { generation_stats: unknown };
  assert.deepEqual(last.generation_stats, stats);
});
