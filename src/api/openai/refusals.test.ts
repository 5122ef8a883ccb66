/** R71: what is not honoured is refused by name, and what asks for nothing passes. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { chatBody, post, startTestApi, type TestApi } from '../testing/testApi.js';

let api: TestApi;
before(async () => {
  api = await startTestApi();
});
after(() => api.close());

async function send(body: unknown, path = '/v1/chat/completions') {
  const response = await post(api, path, body);
  const { error } = (await response.json()) as { error?: { code: string; param: string | null } };
  return { status: response.status, code: error?.code, param: error?.param };
}

async function refusal(fields: Record<string, unknown>, path?: string): Promise<string> {
  const response = await post(api, path ?? '/v1/chat/completions', fields);
  return ((await response.json()) as { error: { message: string } }).error.message;
}

const unsupported: Record<string, unknown> = {
  tools: [{ type: 'function', function: { name: 'f' } }],
  tool_choice: 'required',
  functions: [{ name: 'f' }],
  function_call: { name: 'f' },
  response_format: { type: 'json_object' },
  modalities: ['text', 'audio'],
  audio: { voice: 'x', format: 'wav' },
  prediction: { type: 'content', content: 'x' },
  web_search_options: {},
  moderation: { mode: 'x' },
  reasoning_effort: 'high',
  store: true,
  metadata: { a: 'b' },
  service_tier: 'priority',
  verbosity: 'high',
  prompt_cache_key: 'k',
  prompt_cache_options: { mode: 'explicit' },
  prompt_cache_retention: '24h',
};

test('R71: each known parameter that is not honoured is refused with unsupported_parameter and its name', async () => {
  for (const [param, value] of Object.entries(unsupported)) {
    const answer = await send(chatBody('tiny', { [param]: value }));
    assert.deepEqual(answer, { status: 400, code: 'unsupported_parameter', param }, param);
  }
  const schema = { type: 'json_schema', json_schema: { name: 's', schema: {} } };
  assert.equal((await send(chatBody('tiny', { response_format: schema }))).code, 'unsupported_parameter');
  for (const [param, value] of Object.entries({ echo: true, suffix: 'x', service_tier: 'flex' })) {
    const answer = await send({ model: 'tiny', prompt: 'x', [param]: value }, '/v1/completions');
    assert.deepEqual(answer, { status: 400, code: 'unsupported_parameter', param });
  }
});

test('R71: values that ask for nothing pass, null among them', async () => {
  const neutral = {
    n: 1,
    tools: [],
    functions: [],
    tool_choice: 'none',
    function_call: 'none',
    parallel_tool_calls: true,
    response_format: { type: 'text' },
    modalities: ['text'],
    store: false,
    metadata: {},
    service_tier: 'auto',
    verbosity: 'medium',
    prompt_cache_retention: 'in_memory',
    logprobs: false,
    ...Object.fromEntries(
      ['audio', 'prediction', 'moderation', 'reasoning_effort'].map((name) => [name, null]),
    ),
  };
  assert.equal((await send(chatBody('tiny', neutral))).status, 200);
  const allNull = Object.fromEntries(
    [
      'temperature',
      'top_p',
      'stop',
      'seed',
      'n',
      'max_tokens',
      'logit_bias',
      'stream',
      'user',
      'stream_options',
      'deadline_ms',
    ].map((name) => [name, null]),
  );
  assert.equal((await send(chatBody('tiny', allNull))).status, 200);
  assert.equal(
    (await send({ model: 'tiny', prompt: 'x', best_of: 2, n: 2, echo: false }, '/v1/completions')).status,
    200,
  );
});

test('R71: unknown and malformed parameters are refused with invalid_request and the field', async () => {
  const long = 'x'.repeat(LIMITS.stopStringCharacters + 1);
  const cases: [Record<string, unknown>, string][] = [
    [{ temperatur: 1 }, 'temperatur'],
    [{ temperature: 'hot' }, 'temperature'],
    [{ temperature: -0.1 }, 'temperature'],
    [{ top_p: 1.1 }, 'top_p'],
    [{ top_k: 1.5 }, 'top_k'],
    [{ n: 0 }, 'n'],
    [{ n: LIMITS.choicesPerRequest + 1 }, 'n'],
    [{ seed: 1e300 }, 'seed'],
    [{ max_tokens: 0 }, 'max_tokens'],
    [{ max_tokens: 3, max_completion_tokens: 4 }, 'max_tokens'],
    [{ stop: '' }, 'stop'],
    [{ stop: [long] }, 'stop[0]'],
    [{ stop: Array.from({ length: LIMITS.stopStrings + 1 }, () => 'x') }, 'stop'],
    [{ logit_bias: { word: 1 } }, 'logit_bias.word'],
    [{ logit_bias: { '1': 101 } }, 'logit_bias.1'],
    [{ top_logprobs: 2 }, 'top_logprobs'],
    [{ logprobs: true, top_logprobs: LIMITS.topLogprobs + 1 }, 'top_logprobs'],
    [{ stream_options: { include_usage: true } }, 'stream_options'],
    [{ stream: true, stream_options: { more: 1 } }, 'stream_options.more'],
    [{ deadline_ms: TIMES.requestDeadlineMs + 1 }, 'deadline_ms'],
    [{ messages: [] }, 'messages'],
    [{ messages: 'hello' }, 'messages'],
    [{ messages: [{ role: 'wizard', content: 'x' }] }, 'messages[0].role'],
    [{ messages: [{ role: 'user' }] }, 'messages[0].content'],
    [{ messages: [{ role: 'user', content: 7 }] }, 'messages[0].content'],
    [{ messages: [{ role: 'user', content: [] }] }, 'messages[0].content'],
    [{ messages: [{ role: 'user', content: 'x', mood: 'good' }] }, 'messages[0].mood'],
    [{ messages: [{ role: 'user', content: [{ type: 'text' }] }] }, 'messages[0].content[0].text'],
    [{ messages: [{ role: 'user', content: [{ type: 'smell' }] }] }, 'messages[0].content[0].type'],
  ];
  for (const [fields, param] of cases) {
    assert.deepEqual(
      await send(chatBody('tiny', fields)),
      { status: 400, code: 'invalid_request', param },
      param,
    );
  }
  assert.equal((await send({ messages: [{ role: 'user', content: 'x' }] })).param, 'model');
});

test('R71: where a value may have several types, a refusal says which, or what is wrong with the one that was sent', async () => {
  const many = Array.from({ length: LIMITS.stopStrings + 1 }, () => 'x');
  const cases: [Record<string, unknown>, RegExp][] = [
    [{ stop: 7 }, /^`stop` is not valid: Invalid input: expected string or array$/],
    [{ stop: many }, new RegExp(`It has ${many.length} items; ${LIMITS.stopStrings} are allowed`)],
    [{ messages: [{ role: 'user' }] }, /^`messages\[0\].content` is not valid: .*expected string or array$/],
  ];
  for (const [fields, message] of cases) assert.match(await refusal(chatBody('tiny', fields)), message);
  const token = await refusal({ model: 'tiny', prompt: [-1] }, '/v1/completions');
  assert.match(token, /^`prompt\[0\]` is not valid: Token ids are whole numbers/);
});

test('R71: images, audio, files, tool messages and tool calls are refused with their place', async () => {
  const part = (content: unknown) => ({ messages: [{ role: 'user', content: [content] }] });
  const cases: [Record<string, unknown>, string][] = [
    [
      part({ type: 'image_url', image_url: { url: 'https://x.example/a.png' } }),
      'messages[0].content[0].type',
    ],
    [part({ type: 'input_audio', input_audio: { data: '', format: 'wav' } }), 'messages[0].content[0].type'],
    [part({ type: 'file', file: {} }), 'messages[0].content[0].type'],
    [{ messages: [{ role: 'tool', content: 'x', tool_call_id: '1' }] }, 'messages[0].role'],
    [{ messages: [{ role: 'function', content: 'x', name: 'f' }] }, 'messages[0].role'],
    [
      { messages: [{ role: 'assistant', content: 'x', tool_calls: [{ id: '1' }] }] },
      'messages[0].tool_calls',
    ],
    [{ stream: true, stream_options: { include_obfuscation: true } }, 'stream_options.include_obfuscation'],
  ];
  for (const [fields, param] of cases) {
    assert.deepEqual(
      await send(chatBody('tiny', fields)),
      { status: 400, code: 'unsupported_parameter', param },
      param,
    );
  }
});

test('R71: an answer of this API can be sent back as it came', async () => {
  const response = await post(api, '/v1/chat/completions', chatBody('tiny'));
  const { choices } = (await response.json()) as { choices: { message: Record<string, unknown> }[] };
  const messages = [{ role: 'user', content: 'x' }, choices[0]?.message, { role: 'user', content: 'more' }];
  assert.equal((await send({ model: 'tiny', messages })).status, 200);
});
