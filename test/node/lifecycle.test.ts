/** A real node with the embedded model, called by the official client, while its processes are killed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { packageRoot } from '../../src/shared/packageRoot.js';
import { isAlive, NodeProcess } from '../support/nodeProcess.js';

const BOUND_MS = 60_000;
const MODEL = 'shoal-guide';
const STORY = {
  model: MODEL,
  messages: [{ role: 'user' as const, content: 'Tell me a long story about a fox.' }],
};

let node: NodeProcess;
let client: OpenAI;

before(
  async () => {
    node = await NodeProcess.start('--serve', MODEL);
    client = new OpenAI({ baseURL: `${node.url}/v1`, apiKey: 'unused', maxRetries: 0 });
  },
  { timeout: BOUND_MS },
);

after(() => node?.stop(), { timeout: BOUND_MS });

test('R2: a request that comes while the model loads is answered', { timeout: BOUND_MS }, async () => {
  const answer = await client.chat.completions.create({ ...STORY, max_tokens: 8, temperature: 0 });
  assert.ok((answer.choices[0]?.message.content ?? '').length > 0);
  assert.equal(answer.usage?.completion_tokens, 8);
});

test('R63: the same seed gives the same text, alone and in a full batch', { timeout: BOUND_MS }, async () => {
  const ask = async () => {
    // An answer that the model knows by heart: no two tokens are so close that a rounding decides between them.
    const answer = await client.chat.completions.create({
      model: MODEL,
      messages: [{ role: 'user', content: 'How do I add a second machine?' }],
      max_tokens: 24,
      temperature: 0.7,
      seed: 42,
    });
    return answer.choices[0]?.message.content;
  };
  const alone = await ask();
  const together = await Promise.all(Array.from({ length: 8 }, ask));
  for (const text of together) assert.equal(text, alone);
});

test('R1, R4, R6, R60: after kill -9 of the runner a stream goes on when it is back; a new request is refused, or waits if it likes', {
  timeout: BOUND_MS,
}, async () => {
  await node.ready();
  const { pid } = await node.runner();
  assert.ok(pid !== null);
  const short: { error?: unknown } = {};
  const refused: { error?: unknown } = {};
  const patient = { headers: { prefer: 'wait=30' } };
  const gone = new AbortController();
  let waiting: Promise<unknown> | null = null;
  const asked = { ...STORY, stream: true, max_tokens: 200, ...({ ignore_eos: true } as object) } as const;
  const stream = await client.chat.completions.create({ ...asked, stream_options: { include_usage: true } });
  let chunks = 0;
  let tokens: number | undefined;
  for await (const chunk of stream) {
    tokens = chunk.usage?.completion_tokens ?? tokens;
    if (chunk.choices[0]?.delta.content) chunks += 1;
    if (chunks !== 5 || waiting !== null) continue;
    process.kill(pid, 'SIGKILL');
    await node.until('away', ({ runners }) =>
      Object.values(runners).every(({ status }) => status === 'failed'),
    );
    const few = { ...STORY, max_tokens: 3 };
    // First of all: it is back after a second and a half at the earliest.
    refused.error = await client.chat.completions.create(few).catch((error) => error);
    waiting = client.chat.completions.create(few, patient).then(({ usage }) => usage?.completion_tokens);
    const left = client.chat.completions.create(few, { ...patient, signal: gone.signal });
    gone.abort();
    await assert.rejects(left, OpenAI.APIUserAbortError);
    const deadline = { ...few, ...({ deadline_ms: 200 } as object) };
    short.error = await client.chat.completions.create(deadline, patient).catch((error) => error);
  }
  assert.equal(tokens, 200, 'each token is counted once');
  assert.equal(await waiting, 3);
  assert.ok(refused.error instanceof OpenAI.APIError && refused.error.code === 'all_instances_failed');
  assert.match(refused.error.message, /SIGKILL/);
  assert.ok(short.error instanceof OpenAI.APIError && short.error.code === 'deadline_exceeded');
  assert.match(short.error.message, /waited for a place, since: .*SIGKILL/);
  const state = await node.ready();
  const [runner] = Object.values(state.runners);
  assert.equal(runner?.restarts, 1);
  assert.equal(runner?.error?.signal, 'SIGKILL');
  const answer = await client.chat.completions.create({ ...STORY, max_tokens: 4 });
  assert.equal(answer.usage?.completion_tokens, 4);
});

test('R11: an aborted stream frees its place and its cells', { timeout: BOUND_MS }, async () => {
  const stream = await client.chat.completions.create({
    ...STORY,
    stream: true,
    max_tokens: 2_000,
    ...({ ignore_eos: true } as object),
  });
  for await (const _ of stream) break;
  await node.until('without running tasks', ({ tasks }) =>
    Object.values(tasks).every(({ status }) => status !== 'running'),
  );
  await node.until('free of sequences and cells', ({ runners }) =>
    Object.values(runners).every(
      ({ load }) => load?.running_sequences === 0 && load.used_cells === load.prefix_cache_cells,
    ),
  );
});

test('R11: POST /v1/cancel ends a stream with its code', { timeout: BOUND_MS }, async () => {
  const { data: stream, response } = await client.chat.completions
    .create({ ...STORY, stream: true, max_tokens: 2_000, ...({ ignore_eos: true } as object) })
    .withResponse();
  const id = response.headers.get('x-command-id');
  await assert.rejects(
    async () => {
      let cancelled = false;
      for await (const _ of stream) {
        if (cancelled) continue;
        cancelled = true;
        assert.equal((await fetch(`${node.url}/v1/cancel/${id}`, { method: 'POST' })).status, 200);
      }
    },
    (error: unknown) => error instanceof OpenAI.APIError && error.code === 'cancelled',
  );
  assert.equal((await fetch(`${node.url}/v1/cancel/${id}`, { method: 'POST' })).status, 404);
});

test('R10: a deadline that the client set ends the request in time', { timeout: BOUND_MS }, async () => {
  const asking = client.chat.completions.create({
    ...STORY,
    max_tokens: 2_000,
    ...({ ignore_eos: true, deadline_ms: 200 } as object),
  });
  await assert.rejects(asking, (error: unknown) => error instanceof OpenAI.APIError && error.status === 504);
});

test('R12: a prompt that is too long is refused before the first byte', { timeout: BOUND_MS }, async () => {
  const content = 'fish '.repeat(20_000);
  const asking = client.chat.completions.create({
    model: MODEL,
    messages: [{ role: 'user', content }],
    stream: true,
  });
  await assert.rejects(
    asking,
    (error: unknown) => error instanceof OpenAI.BadRequestError && error.code === 'context_length_exceeded',
  );
});

test('R4: a model that is not served is a coded error', { timeout: BOUND_MS }, async () => {
  const asking = client.chat.completions.create({ ...STORY, model: 'nobody' });
  await assert.rejects(asking, (error: unknown) => error instanceof OpenAI.NotFoundError);
});

test('the commands say what is there', { timeout: BOUND_MS }, () => {
  const shoal = (...parameters: string[]) =>
    spawnSync(process.execPath, [join(packageRoot(), 'bin', 'shoal.js'), ...parameters, '--url', node.url], {
      encoding: 'utf8',
      timeout: BOUND_MS,
    });
  assert.match(shoal('status').stdout, /shoal-guide +ready/);
  assert.match(shoal('models', 'list').stdout, /shoal-guide/);
  assert.ok(shoal('chat', MODEL, 'What is Shoal?', '--max-tokens', '20').stdout.length > 10);
  const failed = shoal('chat', 'nobody', 'hello');
  assert.equal(failed.status, 1);
  assert.match(failed.stderr, /nobody.*\n.*/);
  assert.equal(shoal('chat').status, 2);
});

test('SIGTERM lets a running request end, ends the runner, and exits 0', { timeout: BOUND_MS }, async () => {
  const own = await NodeProcess.start('--serve', MODEL);
  await own.ready();
  const { pid } = await own.runner();
  const its = new OpenAI({ baseURL: `${own.url}/v1`, apiKey: 'unused', maxRetries: 0 });
  const stream = await its.chat.completions.create({
    ...STORY,
    stream: true,
    max_tokens: 40,
    temperature: 0,
  });
  const stopping = { code: undefined as Promise<number | string> | undefined };
  let finish: string | null | undefined;
  for await (const chunk of stream) {
    stopping.code ??= own.stop();
    finish = chunk.choices[0]?.finish_reason ?? finish;
  }
  assert.ok(finish === 'length' || finish === 'stop');
  assert.equal(await stopping.code, 0);
  assert.equal(isAlive(pid ?? 0), false);
  assert.equal(existsSync(own.home), false);
});

test('R47: a runner ends when its node is killed', { timeout: BOUND_MS }, async () => {
  const own = await NodeProcess.start('--serve', MODEL);
  await own.ready();
  const { pid } = await own.runner();
  own.child.kill('SIGKILL');
  await own.stop();
  const deadline = Date.now() + 5_000;
  while (isAlive(pid ?? 0) && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(isAlive(pid ?? 0), false);
});
