/** Thinking models: their reasoning stands apart from the answer. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { chatBody, post, startTestApi, streamData, type TestApi } from '../testing/testApi.js';

const tags = { open: '<think>', close: '</think>' };
let api: TestApi;
before(async () => {
  api = await startTestApi({
    models: {
      thinks: {
        kind: 'speaks',
        tokenTexts: ['<thi', 'nk>', 'Let me', ' see', '</th', 'ink>', '\n\nThe', ' sea'],
        reasoning: { ...tags, isOpen: false },
      },
      'thinks-at-once': {
        kind: 'speaks',
        tokenTexts: ['Hm', '</think>', 'Yes'],
        reasoning: { ...tags, isOpen: true },
      },
      plain: { kind: 'speaks', tokenTexts: ['<think>', 'x', '</think>', 'y'] },
    },
  });
});
after(() => api.close());

interface Said {
  content?: string;
  reasoning_content?: string;
}

async function whole(model: string, tokens: number) {
  const response = await post(api, '/v1/chat/completions', chatBody(model, { max_tokens: tokens }));
  const body = (await response.json()) as {
    choices: { message: Said }[];
    usage: { completion_tokens_details: { reasoning_tokens: number } };
  };
  const { content, reasoning_content } = body.choices[0]?.message ?? {};
  return { content, reasoning_content, tokens: body.usage.completion_tokens_details.reasoning_tokens };
}

async function streamed(model: string, tokens: number) {
  const options = { max_tokens: tokens, stream: true, stream_options: { include_usage: true } };
  const response = await post(api, '/v1/chat/completions', chatBody(model, options));
  const chunks = streamData(await response.text()) as {
    choices: { delta: Said }[];
    usage: { completion_tokens_details: { reasoning_tokens: number } } | null;
  }[];
  const deltas = chunks.map((chunk) => chunk.choices[0]?.delta ?? {});
  const joined = deltas.map((delta) => delta.reasoning_content ?? '').join('');
  return {
    content: deltas.map((delta) => delta.content ?? '').join(''),
    reasoning_content: joined === '' ? undefined : joined,
    tokens: chunks.at(-1)?.usage?.completion_tokens_details.reasoning_tokens,
  };
}

test('R70: reasoning goes to reasoning_content, the answer to content, and no tag shows', async () => {
  for (const answer of [whole, streamed]) {
    assert.deepEqual(await answer('thinks', 8), {
      content: 'The sea',
      reasoning_content: 'Let me see',
      tokens: 6,
    });
    assert.deepEqual(await answer('thinks-at-once', 3), {
      content: 'Yes',
      reasoning_content: 'Hm',
      tokens: 2,
    });
  }
});

test('an answer that ends while it thinks has only reasoning', async () => {
  for (const answer of [whole, streamed]) {
    assert.deepEqual(await answer('thinks', 4), { content: '', reasoning_content: 'Let me see', tokens: 4 });
  }
});

test('text of a model without reasoning is left as it is', async () => {
  for (const answer of [whole, streamed]) {
    assert.deepEqual(await answer('plain', 4), {
      content: '<think>x</think>y',
      reasoning_content: undefined,
      tokens: 0,
    });
  }
});

test('R71: an answer with reasoning can be sent back as it came', async () => {
  const messages = [
    { role: 'user', content: 'x' },
    { role: 'assistant', content: 'The sea', reasoning_content: 'Let me see', refusal: null },
    { role: 'user', content: 'more' },
  ];
  assert.equal((await post(api, '/v1/chat/completions', { model: 'tiny', messages })).status, 200);
});
