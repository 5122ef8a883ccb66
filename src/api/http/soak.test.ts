/** R1: many requests at once, every way to go wrong, clients that leave when they like: nothing is left behind. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Behaviour } from '../testing/inMemoryGenerations.js';
import { chatBody, eventually, startTestApi, type TestApi } from '../testing/testApi.js';

const REQUESTS = 60;
const ROUNDS = 4;

const behaviours: Readonly<Record<string, Behaviour>> = {
  slow: { kind: 'speaks', tokenDelayMs: 1 },
  fails: { kind: 'fails', afterTokens: 3, fault: { code: 'runner_failed', message: 'on purpose' } },
  'fails-first': { kind: 'fails', afterTokens: 0, fault: { code: 'engine_error', message: 'on purpose' } },
  throws: { kind: 'throws', afterTokens: 2, error: new Error('on purpose') },
  stalls: { kind: 'stalls', afterTokens: 2 },
  breaks: { kind: 'breaks_off', afterTokens: 2 },
  dead: { kind: 'dead' },
};

const plan = fc.record({
  model: fc.constantFrom('tiny', 'none', ...Object.keys(behaviours)),
  stream: fc.boolean(),
  deadline_ms: fc.integer({ min: 1, max: 60 }),
  n: fc.integer({ min: 1, max: 3 }),
  leaveAfterMs: fc.option(fc.integer({ min: 0, max: 30 })),
});

type Plan = typeof plan extends fc.Arbitrary<infer Value> ? Value : never;

/** 'left', or what came: the body is complete and ends as its protocol says. */
async function carryOut(api: TestApi, { model, leaveAfterMs, ...fields }: Plan): Promise<string> {
  const controller = new AbortController();
  const leave = leaveAfterMs === null ? undefined : setTimeout(() => controller.abort(), leaveAfterMs);
  try {
    const response = await fetch(`${api.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(chatBody(model, fields)),
      signal: controller.signal,
    });
    const text = await response.text();
    if (response.headers.get('content-type')?.startsWith('text/event-stream')) {
      return text.endsWith('data: [DONE]\n\n') ? 'ended' : `cut off: ${text}`;
    }
    return typeof JSON.parse(text) === 'object' ? 'ended' : text;
  } catch (error) {
    return controller.signal.aborted ? 'left' : `broke: ${error}`;
  } finally {
    clearTimeout(leave);
  }
}

test('R1, R5, R11: every request ends as its protocol says, and nothing stays behind', async () => {
  const api = await startTestApi({ models: behaviours, api: { deadlineGraceMs: 20 } });
  try {
    let sent = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(plan, { minLength: REQUESTS, maxLength: REQUESTS }), async (plans) => {
        sent += plans.length;
        const ends = await Promise.all(plans.map((each) => carryOut(api, each)));
        assert.deepEqual(
          ends.filter((end) => end !== 'ended' && end !== 'left'),
          [],
        );
        await eventually(() => api.generations.running === 0);
      }),
      { numRuns: ROUNDS },
    );
    assert.ok(api.ended.length <= sent);
    const connections = await new Promise((resolve) =>
      api.app.server.getConnections((_, count) => resolve(count)),
    );
    assert.ok(Number(connections) <= REQUESTS, 'connections are reused or closed');
  } finally {
    await api.close();
  }
});
