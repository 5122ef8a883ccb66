/** What a stream does when time, readers or services misbehave. */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { LIMITS } from '../../shared/limits.js';
import { chatBody, eventually, post, startTestApi, streamData, type TestApi } from '../testing/testApi.js';

/** A raw connection that has sent a streaming chat and reads only when it is told. */
async function openRaw(api: TestApi, body: Record<string, unknown>): Promise<Socket> {
  const socket = connect(api.port, '127.0.0.1');
  const text = JSON.stringify({ ...body, stream: true });
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
  await new Promise((resolve) => socket.once('connect', resolve));
  return socket;
}

test('R70: a stream is framed as server-sent events: data lines of JSON, blank lines, [DONE] at the end', async () => {
  const api = await startTestApi({ models: { newline: { kind: 'speaks', tokenTexts: ['a\n\nb\r '] } } });
  try {
    const response = await post(
      api,
      '/v1/chat/completions',
      chatBody('newline', { stream: true, max_tokens: 3 }),
    );
    assert.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8');
    assert.equal(response.headers.get('cache-control'), 'no-cache');
    const text = await response.text();
    for (const event of text.split('\n\n').slice(0, -1)) assert.match(event, /^data: (\{.*\}|\[DONE\])$/);
    const chunks = streamData(text) as { choices: { delta: { content?: string } }[] }[];
    assert.equal(
      chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join(''),
      'a\n\nb\r '.repeat(3),
    );
  } finally {
    await api.close();
  }
});

test('a silent stream is kept alive by comments, before its first event and between events', async () => {
  const api = await startTestApi({
    models: { waits: { kind: 'stalls', afterTokens: -1 }, pauses: { kind: 'stalls', afterTokens: 2 } },
    api: { keepAliveMs: 20 },
  });
  try {
    for (const model of ['waits', 'pauses']) {
      const response = await post(
        api,
        '/v1/chat/completions',
        chatBody(model, { stream: true, deadline_ms: 300 }),
      );
      assert.equal(response.status, 200, 'the headers left with the first comment');
      assert.match(response.headers.get('x-command-id') ?? '', /^chatcmpl-/);
      const text = await response.text();
      assert.ok(text.split(': keep-alive\n\n').length >= 3, text);
      const last = streamData(text).at(-1) as { error: { code: string } };
      assert.equal(last.error.code, 'deadline_exceeded');
    }
  } finally {
    await api.close();
  }
});

test('R1, R5: a service that never answers cannot hold a request past its deadline and grace, which then has its status', async () => {
  const api = await startTestApi({
    models: { dead: { kind: 'dead' } },
    // Many keep-alives are due before: what has no place is not kept alive, but waits for its status.
    api: { deadlineGraceMs: 100, keepAliveMs: 2 },
  });
  try {
    for (const stream of [true, false]) {
      const response = await post(api, '/v1/chat/completions', chatBody('dead', { stream, deadline_ms: 30 }));
      assert.equal(response.status, 504);
      const { error } = (await response.json()) as { error: { code: string } };
      assert.equal(error.code, 'deadline_exceeded');
    }
  } finally {
    await api.close();
  }
});

test('a client that reads too slowly is cut off with client_too_slow, and its generation is cancelled', async () => {
  // Few large tokens: it is the buffer that must stop them, long before the last one.
  const tokenText = 'x'.repeat(256 * 1024);
  const api = await startTestApi({ models: { loud: { kind: 'speaks', tokenTexts: [tokenText] } } });
  const socket = await openRaw(api, chatBody('loud', { max_tokens: 100_000 }));
  try {
    socket.pause();
    await eventually(() => api.generations.cancelled.length === 1);
    assert.equal(api.generations.running, 0);
    let received = '';
    let bytes = 0;
    socket.on('data', (data) => {
      bytes += data.length;
      received = (received + data.toString('latin1')).slice(-1000);
    });
    socket.resume();
    await eventually(() => received.includes('[DONE]'));
    assert.match(received, /client_too_slow/);
    const socketBuffers = 16 * 1024 * 1024;
    assert.ok(bytes < LIMITS.streamBufferBytes + socketBuffers, `${bytes} bytes were kept for it`);
    socket.destroy();
    await eventually(() => api.ended.some((request) => request.status === 408));
  } finally {
    socket.destroy();
    await api.close();
  }
});

test('R11: a connection that breaks cancels its generation', async () => {
  const api = await startTestApi({ models: { slow: { kind: 'speaks', tokenDelayMs: 2 } } });
  const socket = await openRaw(api, chatBody('slow', { max_tokens: 100_000 }));
  try {
    await new Promise((resolve) => socket.once('data', resolve));
    socket.resetAndDestroy();
    await eventually(() => api.generations.cancelled.length === 1);
    await eventually(() => api.ended.length === 1);
    assert.equal(api.ended[0]?.status, 499);
  } finally {
    await api.close();
  }
});

test('R1: closing the server ends what still runs with a coded error and the stream properly', async () => {
  const api = await startTestApi({
    models: { slow: { kind: 'speaks', tokenDelayMs: 2 } },
    api: { drainMs: 30 },
  });
  const response = await post(
    api,
    '/v1/chat/completions',
    chatBody('slow', { stream: true, max_tokens: 100_000 }),
  );
  const text = response.text();
  await api.close();
  const last = streamData(await text).at(-1) as { error: { code: string } };
  assert.equal(last.error.code, 'not_ready');
  assert.equal(api.generations.running, 0);
});

test('R1: closing the server does not wait for a client that does not read', async () => {
  const tokenText = 'x'.repeat(64 * 1024);
  const api = await startTestApi({
    models: { loud: { kind: 'speaks', tokenDelayMs: 2, tokenTexts: [tokenText] } },
  });
  const socket = await openRaw(api, chatBody('loud', { max_tokens: 100_000 }));
  socket.pause();
  await eventually(() => api.generations.running === 1);
  await api.close();
  assert.equal(api.generations.running, 0);
  socket.destroy();
});

test('an answer that is not streamed is bounded too', async () => {
  const tokenText = 'x'.repeat(1024 * 1024);
  const api = await startTestApi({ models: { loud: { kind: 'speaks', tokenTexts: [tokenText] } } });
  try {
    const response = await post(api, '/v1/chat/completions', chatBody('loud', { max_tokens: 100_000 }));
    assert.equal(response.status, 400);
    assert.match(await response.text(), /stream: true/);
    await eventually(() => api.generations.cancelled.length === 1);
  } finally {
    await api.close();
  }
});

test('a request line in the log has its ids and counts, and not what was said', async () => {
  const api = await startTestApi();
  try {
    const body = chatBody('tiny', { messages: [{ role: 'user', content: 'confidential matter' }] });
    await (await post(api, '/v1/chat/completions', body, { 'x-request-id': 'my-id' })).text();
    await eventually(() => api.log.length > 0);
    const line = api.log.find((entry) => entry.msg === 'request ended');
    assert.equal(line?.request_id, 'my-id');
    assert.equal(line?.route, '/v1/chat/completions');
    assert.equal(line?.status, 200);
    assert.equal(line?.generated_tokens, 12);
    assert.match(String(line?.command_id), /^chatcmpl-/);
    assert.ok(!JSON.stringify(api.log).includes('confidential'));
  } finally {
    await api.close();
  }
});
