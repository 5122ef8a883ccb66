/** Whatever JSON comes: an answer or a coded refusal, never a bug, never a hang. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ERRORS } from '../../shared/errors.js';
import { chatBody, post, startTestApi } from '../testing/testApi.js';

const RUNS = 300;

const value = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom(null, 0, 1, -1, 1e308, '', 'text', 'auto', 'none', true, false, [], {}),
  fc.array(
    fc.record({
      role: fc.constantFrom('user', 'assistant', 'tool', 'x'),
      content: fc.jsonValue({ maxDepth: 2 }),
    }),
  ),
);
const field = fc.constantFrom(
  ...[
    'model',
    'messages',
    'prompt',
    'stream',
    'stream_options',
    'n',
    'max_tokens',
    'max_completion_tokens',
    'stop',
    'seed',
  ],
  ...[
    'temperature',
    'top_p',
    'top_k',
    'min_p',
    'repetition_penalty',
    'frequency_penalty',
    'presence_penalty',
    'logit_bias',
  ],
  ...[
    'logprobs',
    'top_logprobs',
    'user',
    'tools',
    'tool_choice',
    'response_format',
    'metadata',
    'store',
    'modalities',
  ],
  ...[
    'enable_thinking',
    'deadline_ms',
    'ignore_eos',
    'best_of',
    'echo',
    'suffix',
    'service_tier',
    'toString',
    'unknown',
  ],
);
/** Mostly a good request with a few fields that may be anything; sometimes anything at all. */
const body = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.dictionary(field, value, { maxKeys: 4 }).map((fields) => chatBody('tiny', fields)),
  },
  {
    weight: 3,
    arbitrary: fc
      .dictionary(field, value, { maxKeys: 3 })
      .map((fields) => ({ model: 'tiny', prompt: 'x', ...fields })),
  },
  { weight: 2, arbitrary: fc.jsonValue({ maxDepth: 5 }) },
);

test('R12, R71: any JSON body gets a 2xx or a coded 4xx', async () => {
  const api = await startTestApi();
  try {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('/v1/chat/completions', '/v1/completions', '/bench/chat/completions', '/v1/cancel/x'),
        body,
        async (path, json) => {
          const response = await post(api, path, json);
          const text = await response.text();
          if (response.status === 200) {
            if (response.headers.get('content-type')?.startsWith('text/event-stream'))
              assert.match(text, /\[DONE\]\n\n$/);
            return;
          }
          assert.ok(response.status >= 400 && response.status < 500, `${response.status}: ${text}`);
          const { error } = JSON.parse(text);
          assert.equal(ERRORS[error.code as keyof typeof ERRORS].status, response.status);
          assert.ok(error.message.length > 0);
        },
      ),
      { numRuns: RUNS },
    );
    assert.equal(api.generations.running, 0);
  } finally {
    await api.close();
  }
});
