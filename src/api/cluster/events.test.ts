import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestApi } from '../testing/testApi.js';

const BOUND_MS = 10_000;

/** Reads messages until there are `count`, then leaves. */
async function read(
  url: string,
  count: number,
  onOpen: () => void = () => undefined,
  headers = {},
): Promise<string[]> {
  const leaving = new AbortController();
  const response = await fetch(url, {
    headers,
    signal: AbortSignal.any([leaving.signal, AbortSignal.timeout(BOUND_MS)]),
  });
  assert.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8');
  onOpen();
  let text = '';
  for await (const chunk of (response.body as ReadableStream<Uint8Array>).pipeThrough(
    new TextDecoderStream(),
  )) {
    text += chunk;
    const messages = text.split('\n\n').filter((message) => message.startsWith('id: '));
    if (messages.length >= count) {
      leaving.abort();
      return messages;
    }
  }
  return assert.fail(text);
}

test('R72: /events tells new events, resumes behind an index, and starts with the state when too much was missed', async () => {
  const api = await startTestApi();
  try {
    const tell = () => {
      for (const follower of api.followers) follower({ index: 9, event: { kind: 'TaskFinished' } });
    };
    const fresh = await read(`${api.url}/events`, 1, tell);
    assert.deepEqual(fresh, ['id: 9\ndata: {"index":9,"event":{"kind":"TaskFinished"}}']);
    const resumed = await read(`${api.url}/events?since=4`, 2, tell);
    assert.match(resumed[0] ?? '', /^id: 5\n/);
    assert.match(resumed[1] ?? '', /^id: 9\n/);
    const byHeader = await read(`${api.url}/events`, 1, undefined, { 'last-event-id': '6' });
    assert.match(byHeader[0] ?? '', /^id: 7\n/);
    const whole = await read(`${api.url}/events?since=0`, 1);
    assert.match(whole[0] ?? '', /"state":/);
    const replaced = await read(`${api.url}/events?since=8`, 2, () => {
      for (const follower of api.followers) follower({ index: 3, state: { index: 3 } });
    });
    assert.equal(
      replaced[1],
      'id: 3\ndata: {"index":3,"state":{"index":3}}',
      'a new state, be its index smaller',
    );
    const wrong = await fetch(`${api.url}/events?since=x`);
    assert.equal(wrong.status, 400);
    await wrong.text();
    while (api.followers.size > 0) await new Promise((resolve) => setImmediate(resolve));
  } finally {
    await api.close();
  }
});
