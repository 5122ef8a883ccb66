/** R73: who gets the join token, and that nobody else finds it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestApi, TEST_TOKEN, type TestApi, type TestApiOptions } from '../testing/testApi.js';

type Headers = Readonly<Record<string, string | undefined>>;

const LOOPBACK = { host: '127.0.0.1:52415' };

async function withApi(options: TestApiOptions['api'], run: (api: TestApi) => Promise<void>): Promise<void> {
  const api = await startTestApi({ api: options ?? {} });
  try {
    await run(api);
    assert.ok(!JSON.stringify(api.log).includes(TEST_TOKEN), 'it is in no log line');
  } finally {
    await api.close();
  }
}

const ask = (api: TestApi, headers: Headers) =>
  api.app.inject({ method: 'POST', url: '/join_token', headers: { ...LOOPBACK, ...headers } });

async function assertRefused(api: TestApi, headers: Headers, code: string): Promise<void> {
  const answer = await ask(api, headers);
  assert.equal(answer.json().error.code, code, JSON.stringify(headers));
  assert.ok(!answer.payload.includes(TEST_TOKEN));
}

test('R73: a caller on this machine gets the join token, to be stored nowhere', () =>
  withApi({}, async (api) => {
    for (const headers of [{}, { origin: 'http://127.0.0.1:52415', 'sec-fetch-site': 'same-origin' }]) {
      const answer = await ask(api, headers);
      assert.deepEqual(answer.json(), { token: TEST_TOKEN });
      assert.equal(answer.headers['cache-control'], 'no-store');
    }
    assert.ok(api.log.some(({ msg }) => msg === 'the join token was given to a caller of the API'));
    const read = await api.app.inject({ method: 'GET', url: '/join_token', headers: LOOPBACK });
    assert.equal(read.statusCode, 405, 'no address that a browser may fetch by itself');
  }));

test('R73: neither pages of other origins nor rebound host names get it, allowed origins included', () =>
  withApi({ allowedOrigins: ['*'] }, async (api) => {
    for (const headers of [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: 'http://localhost:3000' },
      { origin: 'http://127.0.0.1:52416' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { host: 'evil.example:52415', origin: 'http://evil.example:52415', 'sec-fetch-site': 'same-origin' },
    ]) {
      await assertRefused(api, headers, 'forbidden_origin');
    }
  }));

test('R73: with keys it needs one', () =>
  withApi({ apiKeys: ['key'] }, async (api) => {
    await assertRefused(api, {}, 'unauthorized');
    await assertRefused(api, { authorization: 'Bearer wrong' }, 'unauthorized');
    assert.deepEqual((await ask(api, { authorization: 'Bearer key' })).json(), { token: TEST_TOKEN });
    const proxied = await ask(api, { authorization: 'Bearer key', 'x-forwarded-for': '10.0.0.9' });
    assert.deepEqual(proxied.json(), { token: TEST_TOKEN });
  }));

test('R73: without keys nobody gets it who is not on this machine, whatever else the API allows', async () => {
  await withApi({ host: '0.0.0.0' }, (api) => assertRefused(api, { host: 'gpu-box:52415' }, 'unauthorized'));
  await withApi({}, async (api) => {
    for (const name of ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'via']) {
      await assertRefused(api, { [name]: '10.0.0.9' }, 'unauthorized');
    }
  });
});
