/** Malformed HTTP, malformed JSON, wrong paths: all coded, none of them a bug. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, maxHeaderSize } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { after, before, test } from 'node:test';
import { LIMITS } from '../../shared/limits.js';
import { chatBody, post, startTestApi, type TestApi } from '../testing/testApi.js';
import { answerBrokenHttp } from './brokenHttp.js';

let api: TestApi;
before(async () => {
  api = await startTestApi({ api: { bodyLimitBytes: 1024 * 1024 } });
});
after(() => api.close());

interface ErrorAnswer {
  readonly error: {
    readonly code: string;
    readonly param: string | null;
    readonly message: string;
    readonly type: string;
  };
}

async function refusal(path: string, body: unknown, headers: Record<string, string> = {}) {
  const response = await post(api, path, body, headers);
  const { error } = (await response.json()) as ErrorAnswer;
  return { status: response.status, ...error };
}

test('unknown paths are 404, known paths with another method are 405 with Allow', async () => {
  const missing = await fetch(`${api.url}/v2/nothing`);
  assert.equal(missing.status, 404);
  assert.equal(((await missing.json()) as ErrorAnswer).error.code, 'not_found');
  for (const [method, path, allow] of [
    ['GET', '/v1/chat/completions', 'POST'],
    ['DELETE', '/v1/models', 'GET, HEAD'],
    ['PUT', '/state/nodes/n1', 'GET, HEAD'],
    ['GET', '/v1/cancel/chatcmpl-1', 'POST'],
  ]) {
    const response = await fetch(api.url + path, { method: method! });
    assert.equal(response.status, 405, path);
    assert.equal(response.headers.get('allow'), allow);
    assert.equal(((await response.json()) as ErrorAnswer).error.code, 'method_not_allowed');
  }
});

test('malformed bodies are coded: JSON, type, size, prototype pollution', async () => {
  const path = '/v1/chat/completions';
  assert.equal((await refusal(path, '{"model":')).code, 'invalid_request');
  assert.equal((await refusal(path, '')).code, 'invalid_request');
  assert.equal((await refusal(path, 'null')).code, 'invalid_request');
  assert.equal((await refusal(path, '[]')).code, 'invalid_request');
  assert.equal((await refusal(path, 'model=tiny', { 'content-type': 'text/plain' })).status, 415);
  assert.equal(
    (await refusal(path, 'model=tiny', { 'content-type': 'application/x-www-form-urlencoded' })).code,
    'unsupported_media_type',
  );
  const large = await refusal(path, chatBody('tiny', { user: 'x'.repeat(1024 * 1024) }));
  assert.equal(large.status, 413);
  assert.equal(large.code, 'request_too_large');
  for (const poison of ['{"__proto__":{"polluted":1}}', '{"constructor":{"prototype":{"polluted":1}}}']) {
    assert.equal((await refusal(path, poison)).code, 'invalid_request');
  }
  assert.equal(({} as { polluted?: number }).polluted, undefined);
});

test('deep, wide and repetitive bodies are refused before they cost anything', async () => {
  const path = '/v1/chat/completions';
  const deep = '['.repeat(400_000);
  assert.match((await refusal(path, `{"x":${deep}${']'.repeat(400_000)}}`)).message, /nested deeper/);
  const nested = '['.repeat(LIMITS.jsonDepth + 1) + ']'.repeat(LIMITS.jsonDepth + 1);
  assert.match((await refusal(path, `{"x":${nested}}`)).message, /nested deeper/);
  const wide = `{${Array.from({ length: LIMITS.jsonMembers + 1 }, (_, index) => `"k${index}":1`).join(',')}}`;
  assert.match((await refusal(path, wide)).message, /members/);
  const many = `{"messages":[${Array.from({ length: LIMITS.jsonContainers + 1 }, () => '{}').join(',')}]}`;
  assert.match((await refusal(path, many)).message, /objects and arrays/);
  const messages = Array.from({ length: LIMITS.messagesPerRequest + 1 }, () => ({
    role: 'user',
    content: '',
  }));
  assert.equal((await refusal(path, { model: 'tiny', messages })).param, 'messages');
  const prompt = Array.from({ length: 100_000 }, () => '?');
  assert.equal((await refusal('/v1/completions', { model: 'tiny', prompt })).param, 'prompt');
});

/** All that a connection answers to these bytes until it ends. */
function answerTo(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    let text = '';
    socket.on('data', (data) => {
      text += data;
    });
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
}

test('R5: bytes that are not HTTP, and headers without end, get a coded answer and the connection ends', async () => {
  const scanner = await answerTo(api.port, 'SSH-2.0-scanner\r\n\r\n');
  assert.match(scanner, /^HTTP\/1\.1 400 Bad Request\r\n/);
  assert.match(scanner, /"code":"invalid_request"/);
  const endless = await answerTo(api.port, `GET /${'x'.repeat(maxHeaderSize)} HTTP/1.1\r\n`);
  assert.match(endless, /^HTTP\/1\.1 413 Payload Too Large\r\n/);
  assert.match(endless, /longer than \d+ bytes.*"code":"request_too_large"/);
});

test('R5: a request that does not arrive in time is told so', async () => {
  const server = createServer({ requestTimeout: 1, headersTimeout: 1, connectionsCheckingInterval: 10 });
  server.on('clientError', answerBrokenHttp);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const answer = await answerTo((server.address() as AddressInfo).port, 'GET / HTTP/1.1\r\nHost:');
  server.close();
  assert.match(answer, /^HTTP\/1\.1 408 Request Timeout\r\n/);
  assert.match(answer, /did not arrive within \d+ s.*"code":"client_too_slow"/);
});

test('failpoints are refused where they are not allowed', async () => {
  const answer = await refusal('/v1/chat/completions', chatBody('tiny'), {
    'x-shoal-failpoint': 'runner.die',
  });
  assert.equal(answer.status, 400);
  assert.equal(answer.param, 'x-shoal-failpoint');
});

test('odd paths are coded errors', async () => {
  for (const path of [
    '/%',
    '/v1/models/%zz',
    `/state/${'a'.repeat(5000)}`,
    '/v1/models/..%2f..%2fetc',
    '/state/__proto__',
    '/state/constructor',
  ]) {
    const response = await fetch(api.url + path);
    assert.ok(response.status === 400 || response.status === 404, `${path}: ${response.status}`);
    const { error } = (await response.json()) as ErrorAnswer;
    assert.ok(error.code === 'invalid_request' || error.code.endsWith('not_found'), error.code);
  }
});

test('HEAD is answered where GET is, without a body', async () => {
  const response = await fetch(`${api.url}/health`, { method: 'HEAD' });
  assert.equal(response.status, 200);
  assert.equal(await response.text(), '');
});
