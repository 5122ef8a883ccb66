/** The official client cannot tell this API from the original (R70). */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import type { Behaviour } from '../testing/inMemoryGenerations.js';
import { eventually, startTestApi, type TestApi } from '../testing/testApi.js';

const failing = (code: string, afterTokens: number): Behaviour => ({
  kind: 'fails',
  afterTokens,
  fault: { code: code as 'runner_failed', message: `on purpose: ${code}` },
});

let api: TestApi;
let client: OpenAI;
const messages = [{ role: 'user' as const, content: 'Tell me about the sea' }];

before(async () => {
  api = await startTestApi({
    models: {
      slow: { kind: 'speaks', tokenDelayMs: 5 },
      full: { kind: 'refuses', fault: { code: 'queue_full', message: 'full on purpose' } },
      stopping: { kind: 'refuses', fault: { code: 'not_ready', message: 'not ready on purpose' } },
      'fails-first': failing('context_length_exceeded', 0),
      'fails-later': failing('runner_failed', 3),
      'engine-fails': failing('engine_error', 0),
      buggy: { kind: 'throws', afterTokens: -1, error: new Error('secret /path') },
      'buggy-later': { kind: 'throws', afterTokens: 2, error: new Error('secret /path') },
      'breaks-off': { kind: 'breaks_off', afterTokens: 2 },
    },
  });
  client = new OpenAI({ baseURL: `${api.url}/v1`, apiKey: 'any', maxRetries: 0, timeout: 10_000 });
});
after(() => api.close());

test('R70: a chat answers with content, usage, finish reason and the ids of its headers', async () => {
  const { data, response } = await client.chat.completions
    .create({ model: 'tiny', messages, max_tokens: 5, seed: 1 })
    .withResponse();
  assert.match(data.id, /^chatcmpl-[0-9a-f]{32}$/);
  assert.equal(response.headers.get('x-command-id'), data.id);
  assert.equal(response.headers.get('x-instance-id'), 'instance-in-memory');
  assert.equal(response.headers.get('x-node-id'), 'node-in-memory');
  assert.equal(data.object, 'chat.completion');
  assert.equal(data.model, 'tiny');
  assert.match(data.system_fingerprint ?? '', /^fp_/);
  assert.equal(data.choices.length, 1);
  assert.equal(data.choices[0]?.finish_reason, 'length');
  assert.equal(data.choices[0]?.message.role, 'assistant');
  assert.ok((data.choices[0]?.message.content ?? '').length > 0);
  assert.equal(data.choices[0]?.logprobs, null);
  assert.deepEqual(data.usage, {
    prompt_tokens: 5,
    completion_tokens: 5,
    total_tokens: 10,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: 0,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  });
});

test('R70: a stream says the same as the whole answer, with role first, a finish chunk and a usage chunk', async () => {
  const whole = await client.chat.completions.create({ model: 'tiny', messages, seed: 7 });
  const stream = await client.chat.completions.create({
    model: 'tiny',
    messages,
    seed: 7,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks: OpenAI.ChatCompletionChunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  assert.equal(chunks[0]?.choices[0]?.delta.role, 'assistant');
  assert.equal(
    chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join(''),
    whole.choices[0]?.message.content,
  );
  assert.equal(chunks.at(-2)?.choices[0]?.finish_reason, 'length');
  assert.deepEqual(chunks.at(-1)?.choices, []);
  assert.deepEqual(chunks.at(-1)?.usage, whole.usage);
  assert.ok(chunks.slice(0, -1).every((chunk) => chunk.usage === null));
  assert.equal(new Set(chunks.map((chunk) => chunk.id)).size, 1);
});

test("R70: the client's own stream helper puts the chunks together", async () => {
  const runner = client.chat.completions.stream({ model: 'tiny', messages, seed: 3, n: 2, logprobs: true });
  const final = await runner.finalChatCompletion();
  assert.equal(final.choices.length, 2);
  const whole = await client.chat.completions.create({
    model: 'tiny',
    messages,
    seed: 3,
    n: 2,
    logprobs: true,
  });
  assert.deepEqual(
    final.choices.map((choice) => choice.message.content),
    whole.choices.map((choice) => choice.message.content),
  );
  assert.deepEqual(
    final.choices.map((choice) => choice.logprobs?.content),
    whole.choices.map((choice) => choice.logprobs?.content),
  );
});

test('R71: n choices differ, and the usage counts them all', async () => {
  const answer = await client.chat.completions.create({
    model: 'tiny',
    messages,
    n: 3,
    seed: 1,
    max_tokens: 8,
  });
  assert.deepEqual(
    answer.choices.map((choice) => choice.index),
    [0, 1, 2],
  );
  assert.equal(new Set(answer.choices.map((choice) => choice.message.content)).size, 3);
  assert.equal(answer.usage?.completion_tokens, 24);
});

test('R71: logprobs report each token with its bytes and alternatives, and no infinity', async () => {
  const answer = await client.chat.completions.create({
    model: 'tiny',
    messages,
    logprobs: true,
    top_logprobs: 13,
    max_tokens: 4,
  });
  const content = answer.choices[0]?.logprobs?.content ?? [];
  assert.equal(content.length, 4);
  for (const token of content) {
    assert.equal(Buffer.from(token.bytes ?? []).toString(), token.token);
    assert.equal(token.top_logprobs.length, 13);
    assert.equal(token.top_logprobs.at(-1)?.logprob, -9999);
  }
  assert.equal(content.map((token) => token.token).join(''), answer.choices[0]?.message.content);
});

test('R63, R71: one seed gives one text, and without a seed one is drawn', async () => {
  const say = async (seed?: number) =>
    (await client.chat.completions.create({ model: 'tiny', messages, seed })).choices[0]?.message.content;
  assert.equal(await say(42), await say(42));
  assert.notEqual(await say(42), await say(43));
  await say();
  assert.ok(Number.isSafeInteger(api.generations.requests.at(-1)?.sampling.seed));
});

test('R71: stop strings, alone or as a list, end the text before them', async () => {
  const all = await client.chat.completions.create({ model: 'tiny', messages, seed: 5, max_tokens: 40 });
  const text = all.choices[0]?.message.content ?? '';
  const stop = text.slice(20, 25);
  for (const given of [stop, ['never met', stop]]) {
    const cut = await client.chat.completions.create({
      model: 'tiny',
      messages,
      seed: 5,
      max_tokens: 40,
      stop: given,
    });
    assert.equal(cut.choices[0]?.message.content, text.slice(0, text.indexOf(stop)));
    assert.equal(cut.choices[0]?.finish_reason, 'stop');
  }
});

test('R71: every parameter that is honoured reaches the generation', async () => {
  await client.chat.completions.create({
    model: 'tiny',
    messages: [
      { role: 'developer', content: 'Be brief' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'a' },
          { type: 'text', text: 'b' },
        ],
        name: 'Ada',
      },
      { role: 'assistant', content: 'c', refusal: null },
    ],
    seed: 9,
    temperature: 0,
    top_p: 0.5,
    frequency_penalty: 1,
    presence_penalty: -1,
    logit_bias: { '12': -100 },
    max_completion_tokens: 3,
    stop: 'x',
    n: 2,
    logprobs: true,
    top_logprobs: 2,
    user: 'somebody',
    ...{
      top_k: 40,
      min_p: 0.1,
      repetition_penalty: 1.1,
      enable_thinking: false,
      deadline_ms: 5000,
      ignore_eos: true,
    },
  });
  const { commandId, ...request } = api.generations.requests.at(-1)!;
  assert.match(commandId, /^chatcmpl-/);
  assert.deepEqual(request, {
    modelId: 'tiny',
    input: {
      kind: 'chat',
      messages: [
        { role: 'developer', content: 'Be brief' },
        { role: 'user', content: 'ab', name: 'Ada' },
        { role: 'assistant', content: 'c' },
      ],
      enableThinking: false,
    },
    sampling: {
      temperature: 0,
      topK: 40,
      topP: 0.5,
      minP: 0.1,
      repetitionPenalty: 1.1,
      frequencyPenalty: 1,
      presencePenalty: -1,
      logitBias: [[12, -100]],
      seed: 9,
    },
    maxTokens: 3,
    stop: ['x'],
    ignoreEos: true,
    topLogprobs: 2,
    choices: 2,
    deadlineMs: 5000,
  });
  await eventually(() => api.log.some((line) => line.end_user === 'somebody'));
});

test('R70: the older text endpoint takes text and tokens, and streams', async () => {
  const whole = await client.completions.create({ model: 'tiny', prompt: 'The sea', seed: 2, logprobs: 2 });
  assert.match(whole.id, /^cmpl-/);
  assert.equal(whole.object, 'text_completion');
  assert.equal(whole.usage?.completion_tokens, 16, "OpenAI's default for this endpoint");
  const { tokens, text_offset: offsets, token_logprobs: values } = whole.choices[0]?.logprobs ?? {};
  assert.equal(tokens?.length, 16);
  assert.equal(values?.length, 16);
  tokens?.forEach((token, index) => {
    assert.ok(whole.choices[0]?.text.startsWith(token, offsets?.[index]));
  });

  const stream = await client.completions.create({
    model: 'tiny',
    prompt: 'The sea',
    seed: 2,
    logprobs: 2,
    stream: true,
  });
  let text = '';
  const streamedOffsets: number[] = [];
  for await (const chunk of stream) {
    text += chunk.choices[0]?.text ?? '';
    streamedOffsets.push(...(chunk.choices[0]?.logprobs?.text_offset ?? []));
  }
  assert.equal(text, whole.choices[0]?.text);
  assert.deepEqual(streamedOffsets, offsets);

  await client.completions.create({ model: 'tiny', prompt: [1, 2, 3], max_tokens: 1 });
  assert.deepEqual(api.generations.requests.at(-1)?.input, { kind: 'tokens', tokens: [1, 2, 3] });
  await client.completions.create({ model: 'tiny', prompt: [[4, 5]], max_tokens: 1 });
  assert.deepEqual(api.generations.requests.at(-1)?.input, { kind: 'tokens', tokens: [4, 5] });
  await client.completions.create({ model: 'tiny', prompt: ['one'], max_tokens: 1 });
  assert.deepEqual(api.generations.requests.at(-1)?.input, { kind: 'text', text: 'one' });
});

test('R70: models are listed and found, ids with a slash too', async () => {
  const ids: string[] = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.deepEqual(ids, ['tiny', 'owner/broken', 'elsewhere']);
  assert.equal((await client.models.retrieve('owner/broken')).id, 'owner/broken');
  await assert.rejects(client.models.retrieve('none'), OpenAI.NotFoundError);
});

test('R5: each class of error arrives as the exception that the client has for it', async () => {
  const create =
    (model: string, more = {}) =>
    () =>
      client.chat.completions.create({ model, messages, ...more });
  const cases: [() => Promise<unknown>, new (...args: never[]) => Error, number, string, string | null][] = [
    [create('tiny', { temperature: 3 }), OpenAI.BadRequestError, 400, 'invalid_request', 'temperature'],
    [
      create('tiny', { tools: [{ type: 'function' }] }),
      OpenAI.BadRequestError,
      400,
      'unsupported_parameter',
      'tools',
    ],
    [create('fails-first'), OpenAI.BadRequestError, 400, 'context_length_exceeded', null],
    [create('none'), OpenAI.NotFoundError, 404, 'model_not_found', 'model'],
    [create('full'), OpenAI.RateLimitError, 429, 'queue_full', null],
    [create('engine-fails'), OpenAI.InternalServerError, 500, 'engine_error', null],
    [create('buggy'), OpenAI.InternalServerError, 500, 'internal_error', null],
    [create('breaks-off'), OpenAI.InternalServerError, 500, 'internal_error', null],
    [create('fails-later'), OpenAI.InternalServerError, 502, 'runner_failed', null],
    [create('stopping'), OpenAI.InternalServerError, 503, 'not_ready', null],
    // A stream that fails before its first byte has a status as well.
    [create('full', { stream: true }), OpenAI.RateLimitError, 429, 'queue_full', null],
    [create('fails-first', { stream: true }), OpenAI.BadRequestError, 400, 'context_length_exceeded', null],
  ];
  for (const [call, kind, status, code, param] of cases) {
    await assert.rejects(call, (error: InstanceType<typeof OpenAI.APIError>) => {
      assert.ok(error instanceof kind, `${code}: ${error}`);
      assert.equal(error.status, status);
      assert.equal(error.code, code);
      assert.equal(error.param, param);
      assert.ok(!error.message.includes('secret'), 'no inner message of a bug reaches a client');
      assert.ok((error.headers?.get('x-request-id') ?? '').length > 0);
      if (status === 429 || status === 503) assert.equal(error.headers?.get('retry-after'), '1');
      return true;
    });
  }
});

test('R5: an error after the first byte is an APIError within the stream, after what was said before', async () => {
  for (const [model, code] of [
    ['fails-later', 'runner_failed'],
    ['buggy-later', 'internal_error'],
    ['breaks-off', 'internal_error'],
  ]) {
    const stream = await client.chat.completions.create({ model: model!, messages, stream: true });
    let chunks = 0;
    await assert.rejects(
      async () => {
        for await (const _chunk of stream) chunks += 1;
      },
      (error: InstanceType<typeof OpenAI.APIError>) => {
        assert.ok(error instanceof OpenAI.APIError);
        assert.equal(error.code, code);
        assert.ok(!error.message.includes('secret'));
        return true;
      },
    );
    assert.ok(chunks >= 2, `${model} had said something`);
  }
});

test('R11: a client that aborts its stream cancels the generation', async () => {
  const stream = await client.chat.completions.create({
    model: 'slow',
    messages,
    stream: true,
    max_tokens: 100_000,
  });
  let id = '';
  for await (const chunk of stream) {
    id = chunk.id;
    if (chunk.choices[0]?.delta.content) stream.controller.abort();
  }
  await eventually(() => api.generations.cancelled.includes(id as never));
  await eventually(() => api.ended.some((request) => request.status === 499));
});

test('R11: a client that aborts while it waits for a whole answer cancels the generation', async () => {
  const controller = new AbortController();
  const before = api.generations.cancelled.length;
  const call = client.chat.completions.create(
    { model: 'slow', messages, max_tokens: 100_000 },
    { signal: controller.signal },
  );
  await eventually(() => api.generations.running > 0);
  controller.abort();
  await assert.rejects(call, OpenAI.APIUserAbortError);
  await eventually(() => api.generations.cancelled.length === before + 1);
});

test('R11: POST /v1/cancel ends a running stream with a coded error, and only once', async () => {
  const stream = await client.chat.completions.create({
    model: 'slow',
    messages,
    stream: true,
    max_tokens: 100_000,
  });
  await assert.rejects(
    async () => {
      for await (const chunk of stream) {
        if (!chunk.choices[0]?.delta.content) continue;
        const answer = await client.post(`/cancel/${chunk.id}`).catch((error) => error);
        if (!(answer instanceof Error)) assert.deepEqual(answer, { command_id: chunk.id, cancelled: true });
        else assert.ok(answer instanceof OpenAI.NotFoundError, 'a chunk that was still on its way');
      }
    },
    (error: InstanceType<typeof OpenAI.APIError>) => error.code === 'cancelled',
  );
  await assert.rejects(client.post('/cancel/chatcmpl-none'), OpenAI.NotFoundError);
});

test('R1: nothing is left running', async () => {
  await eventually(() => api.generations.running === 0);
});
