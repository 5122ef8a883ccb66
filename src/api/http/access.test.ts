/** R73: who may call. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { test } from 'node:test';
import { chatBody, startTestApi, type TestApi } from '../testing/testApi.js';
import { isLoopback } from './access.js';

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly code: string | undefined;
}

/** A request with headers that `fetch` would not let through, such as Host. */
function call(
  api: TestApi,
  method: string,
  path: string,
  headers: Record<string, string>,
  body?: unknown,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(
      { port: api.port, host: '127.0.0.1', method, path, headers, agent: false },
      (response) => {
        let text = '';
        response.on('data', (data) => {
          text += data;
        });
        response.on('end', () => {
          const code = text.startsWith('{"error"') ? JSON.parse(text).error.code : undefined;
          resolve({ status: response.statusCode ?? 0, headers: response.headers, code });
        });
      },
    );
    sent.on('error', reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

const json = { 'content-type': 'application/json' };

test('R73: with API keys, every path but /health and the page needs one, as Bearer or x-api-key', async () => {
  const api = await startTestApi({ api: { apiKeys: ['first-key', 'second-key'] } });
  try {
    assert.equal((await call(api, 'GET', '/health', {})).status, 200);
    assert.equal((await call(api, 'GET', '/health?probe=1', {})).status, 200);
    assert.equal((await call(api, 'GET', '/', {})).status, 200);
    for (const path of [
      '/state',
      '/v1/models',
      '/metrics',
      '/ready',
      '/openapi.json',
      '/nothing',
      '/health/',
    ]) {
      const refused = await call(api, 'GET', path, {});
      assert.equal(refused.status, 401, path);
      assert.equal(refused.code, 'unauthorized');
      assert.equal(refused.headers['www-authenticate'], 'Bearer');
    }
    for (const headers of [
      { authorization: 'Bearer first-key' },
      { authorization: 'bearer second-key' },
      { 'x-api-key': 'second-key' },
    ]) {
      assert.equal((await call(api, 'GET', '/state', headers as never)).status, 200, JSON.stringify(headers));
    }
    for (const headers of [
      { authorization: 'Bearer first-ke' },
      { authorization: 'Bearer first-keyy' },
      { authorization: 'Basic first-key' },
      { authorization: 'Bearer' },
      { 'x-api-key': '' },
    ]) {
      assert.equal((await call(api, 'GET', '/state', headers as never)).status, 401, JSON.stringify(headers));
    }
    assert.ok(!JSON.stringify(api.log).includes('first-key'), 'keys stay out of the log');
  } finally {
    await api.close();
  }
});

test('R73: on loopback, only loopback host names are answered', async () => {
  const api = await startTestApi();
  try {
    for (const host of [
      'localhost',
      `localhost:${api.port}`,
      '127.0.0.1:1',
      '[::1]:80',
      '127.8.9.1',
      'shoal.localhost',
    ]) {
      assert.equal((await call(api, 'GET', '/health', { host })).status, 200, host);
    }
    for (const host of [
      'evil.example',
      `evil.example:${api.port}`,
      'localhost.evil.example',
      '10.0.0.1',
      '127.0.0.1.evil.example',
    ]) {
      const refused = await call(api, 'GET', '/health', { host });
      assert.equal(refused.status, 403, host);
      assert.equal(refused.code, 'forbidden_origin');
    }
  } finally {
    await api.close();
  }
});

test('R73: beyond loopback, any host name is answered', async () => {
  const api = await startTestApi({ api: { host: '0.0.0.0', apiKeys: ['k'] } });
  try {
    assert.equal((await call(api, 'GET', '/health', { host: 'gpu-box.example' })).status, 200);
  } finally {
    await api.close();
  }
});

test('R73: web pages of other origins may not post, and may not read', async () => {
  const api = await startTestApi();
  try {
    for (const origin of ['https://evil.example', 'null', 'http://localhost:1']) {
      const refused = await call(api, 'POST', '/v1/chat/completions', { ...json, origin }, chatBody('tiny'));
      assert.equal(refused.code, 'forbidden_origin', origin);
      const read = await call(api, 'GET', '/state', { origin });
      assert.equal(read.status, 200);
      assert.equal(read.headers['access-control-allow-origin'], undefined);
    }
    assert.equal(api.generations.requests.length, 0);
    const own = { ...json, origin: api.url };
    assert.equal((await call(api, 'POST', '/v1/chat/completions', own, chatBody('tiny'))).status, 200);
  } finally {
    await api.close();
  }
});

test('R73: an allowed origin may preflight, post and read, and no other', async () => {
  const origin = 'https://app.example';
  const api = await startTestApi({ api: { allowedOrigins: [origin], apiKeys: ['k'] } });
  try {
    const preflight = await call(api, 'OPTIONS', '/v1/chat/completions', {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization, content-type, x-stainless-os',
    });
    assert.equal(preflight.status, 204);
    assert.equal(preflight.headers['access-control-allow-origin'], origin);
    assert.match(String(preflight.headers['access-control-allow-headers']), /x-stainless-os/);
    const headers = { ...json, origin, authorization: 'Bearer k' };
    const answer = await call(
      api,
      'POST',
      '/v1/chat/completions',
      headers,
      chatBody('tiny', { stream: true }),
    );
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['access-control-allow-origin'], origin, 'on streams too');
    assert.match(String(answer.headers['access-control-expose-headers']), /x-command-id/);
    const other = await call(api, 'OPTIONS', '/v1/chat/completions', {
      origin: 'https://other.example',
      'access-control-request-method': 'POST',
    });
    assert.equal(other.headers['access-control-allow-origin'], undefined);
  } finally {
    await api.close();
  }
});

test('loopback names and addresses are told apart from those that only look like them', () => {
  for (const host of [
    'localhost',
    'LOCALHOST',
    'a.localhost',
    '127.0.0.1',
    '127.255.0.3',
    '::1',
    '[::1]',
    '::ffff:127.0.0.1',
  ]) {
    assert.ok(isLoopback(host), host);
  }
  for (const host of ['', '0.0.0.0', '::', 'localhost.com', '127.evil.com', '128.0.0.1', 'notlocalhost']) {
    assert.ok(!isLoopback(host), host);
  }
});
