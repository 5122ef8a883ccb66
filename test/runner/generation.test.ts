/** Generation by a real runner process with a tiny random model. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { FromRunner } from '../../src/shared/runnerProtocol.js';
import { type Collected, RunnerClient } from './runnerClient.js';
import { type TinyModelFile, tinyModelFile } from './tinyModelFile.js';

const TEMPLATE =
  "{% for message in messages %}{% if message.content == 'forbidden' %}{{ raise_exception('not this') }}{% endif %}" +
  '<|turn|>{{ message.content }}<|end_turn|>{% endfor %}<|turn|>';
const LIMIT = { timeout: 60_000 };
const text = (value: string) => ({ kind: 'text', text: value }) as const;

let model: TinyModelFile;
let runner: RunnerClient;

before(async () => {
  model = tinyModelFile(TEMPLATE);
  runner = new RunnerClient();
  runner.load(model.path);
  await runner.ready();
}, LIMIT);

after(async () => {
  await runner.stop();
  model.remove();
});

/** Tokens in a process of their own would be the same; a prompt of its own in this one is as good. */
async function alone(prompt: string, more = {}): Promise<Collected> {
  return runner.complete({ input: text(prompt), ignoreEos: true, maxTokens: 24, ...more });
}

test('R63: greedy and seeded tokens are the same alone and in a batch of 8', LIMIT, async () => {
  const prompts = Array.from({ length: 8 }, (_, index) => `${'prompt '.repeat(index + 1)}number ${index}`);
  for (const sampling of [
    { seed: 42, temperature: 0 },
    { seed: 7, temperature: 1.2, topP: 0.9 },
  ]) {
    const single: Collected[] = [];
    for (const prompt of prompts) single.push(await alone(prompt, { sampling }));
    const batch = await Promise.all(prompts.map((prompt) => alone(prompt, { sampling })));
    for (const [index, collected] of batch.entries()) {
      assert.equal(collected.fault, null);
      assert.deepEqual(collected.tokens, single[index]!.tokens);
      assert.deepEqual(collected.texts, single[index]!.texts);
    }
    assert.ok(new Set(batch.map((collected) => String(collected.tokens))).size > 1);
  }
});

test('n choices: choice i equals a request with seed + i', LIMIT, async () => {
  const sampling = { temperature: 1.5 };
  const together = await alone('choose', { choices: 4, sampling: { ...sampling, seed: 10 } });
  for (const choice of [0, 1, 2, 3]) {
    const single = await alone('choose', { sampling: { ...sampling, seed: 10 + choice } });
    assert.deepEqual(together.tokens[choice], single.tokens[0]);
    assert.equal(together.texts[choice], single.texts[0]);
  }
  assert.equal(together.stats?.generatedTokens, 4 * 24);
});

test('R65: a repeated prompt is flagged as cached and gives the same text', LIMIT, async () => {
  const prompt = 'once upon a time '.repeat(12);
  const first = await alone(prompt);
  const second = await alone(prompt);
  assert.equal(
    first.cachedPromptTokens,
    1,
    'every text begins with the same token, and with nothing else of this one',
  );
  assert.equal(second.cachedPromptTokens, second.promptTokens! - 1);
  assert.equal(second.stats?.cachedPromptTokens, second.cachedPromptTokens);
  assert.deepEqual(second.texts, first.texts);
});

test('R64: a prompt of several chunks gives the same text as in one chunk', LIMIT, async () => {
  const prompt = 'long ago and far away '.repeat(15);
  const chunked = await alone(prompt);
  const other = new RunnerClient();
  try {
    other.load(model.path, { prefillChunkTokens: 512 });
    await other.ready();
    const whole = await other.complete({ input: text(prompt), ignoreEos: true, maxTokens: 24 });
    assert.deepEqual(whole.tokens, chunked.tokens);
  } finally {
    await other.stop();
  }
});

test('R71: a stop string ends the text before it, and no part of it is seen', LIMIT, async () => {
  const sampling = { seed: 3, temperature: 2 };
  // Both times with the prompt in the cache: computed in another batch, it may round another way.
  await alone('tell', { sampling, maxTokens: 1 });
  const free = await alone('tell', { sampling, maxTokens: 60 });
  const characters = [...free.texts[0]!];
  const stop = characters.slice(20, 23).join('');
  const pieces: string[] = [];
  const stopped = await runner.generate(
    { input: text('tell'), sampling, ignoreEos: true, maxTokens: 60, stop: [stop], topLogprobs: 0 },
    (event) => event.kind === 'delta' && pieces.push(event.text),
  ).ended;
  assert.equal(stopped.texts[0], free.texts[0]!.slice(0, free.texts[0]!.indexOf(stop)));
  assert.equal(pieces.join(''), stopped.texts[0]);
  assert.deepEqual(stopped.reasons, ['stop']);
  assert.ok(
    stopped.logprobs[0]!.length < stopped.tokens[0]!.length,
    'the tokens of the stop string are not told',
  );
});

test('log probabilities: those of all tokens sum to 1, and the best is the greedy token', LIMIT, async () => {
  const collected = await alone('probable', { topLogprobs: 288, maxTokens: 5 });
  assert.equal(collected.logprobs[0]!.length, 5);
  for (const entry of collected.logprobs[0]!) {
    const sum = entry.top.reduce((total, other) => total + Math.exp(other.logprob), 0);
    assert.ok(Math.abs(sum - 1) < 1e-5, `${sum}`);
    assert.equal(entry.top[0]!.logprob, entry.logprob);
  }
});

test(
  'R11: a cancel ends a request in its prefill and in its answer, the neighbours go on',
  LIMIT,
  async () => {
    const neighbour = alone('neighbour', { maxTokens: 100 });
    const answering = runner.generate({ input: text('first'), ignoreEos: true, maxTokens: 400 }, (event) => {
      if (event.kind === 'delta') runner.send({ kind: 'cancel', request: answering.request });
    });
    assert.equal((await answering.ended).fault?.code, 'cancelled');
    const prefilling = runner.generate({ input: text('x y z '.repeat(70)) });
    runner.send({ kind: 'cancel', request: prefilling.request });
    runner.send({ kind: 'cancel', request: prefilling.request });
    runner.send({ kind: 'cancel', request: 123_456 });
    assert.equal((await prefilling.ended).fault?.code, 'cancelled');
    assert.deepEqual((await neighbour).tokens, (await alone('neighbour', { maxTokens: 100 })).tokens);
  },
);

test('R11: cancels at any moment of a step leave nothing behind', LIMIT, async () => {
  const expected = await alone('afterwards');
  for (let round = 0; round < 60; round++) {
    const cancelled = runner.generate({ input: text(`${round} `.repeat(150)) });
    await new Promise((resolve) => setTimeout(resolve, round % 6));
    runner.send({ kind: 'cancel', request: cancelled.request });
    const next = alone('afterwards');
    const { fault } = await cancelled.ended;
    assert.ok(fault === null || fault.code === 'cancelled');
    assert.deepEqual((await next).tokens, expected.tokens);
  }
});

test('R12: what is wrong with one request is its own error', LIMIT, async () => {
  const neighbour = alone('unharmed', { maxTokens: 60 });
  const chat = (content: string) =>
    ({ input: { kind: 'chat', messages: [{ role: 'user', content }] } }) as const;
  const wrong: [Parameters<RunnerClient['complete']>[0], string][] = [
    [chat('forbidden'), 'template_error'],
    [{ input: text('too long '.repeat(100)) }, 'context_length_exceeded'],
    [{ input: text('x'.repeat(1_000_000)) }, 'context_length_exceeded'],
    [{ input: { kind: 'tokens', tokens: [1, 288] } }, 'invalid_request'],
    [{ input: { kind: 'tokens', tokens: [] } }, 'invalid_request'],
    [{ stop: [''] }, 'invalid_request'],
    [{ sampling: { seed: 1, temperature: -1 } }, 'invalid_request'],
    [{ choices: 9 }, 'invalid_request'],
    [{ deadlineMs: 0, maxTokens: 500 }, 'deadline_exceeded'],
  ];
  for (const [generation, code] of wrong) {
    const { fault } = await runner.complete(generation);
    assert.equal(fault?.code, code, fault?.message);
  }
  assert.equal((await runner.complete(chat('allowed'))).fault, null);
  assert.equal((await neighbour).fault, null);
});

test('R44: the heartbeat counter moves while idle and while computing', LIMIT, async () => {
  const beats = () =>
    runner.messages.filter((message) => message.kind === 'heartbeat').map((message) => message.pulse.counter);
  const known = beats().length;
  await runner.waitFor((message) => message.kind === 'heartbeat' && beats().length >= known + 3);
  const counters = beats().slice(known);
  for (const [index, counter] of counters.entries()) assert.ok(index === 0 || counter > counters[index - 1]!);
});

test(
  '100 random requests with random cancels: every one ends, and every cell is free or in the cache',
  LIMIT,
  async () => {
    let state = 12_345;
    const random = (below: number) => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const all = Array.from({ length: 100 }, () => {
      const cancelAfter = random(3) === 0 ? random(30) : Number.POSITIVE_INFINITY;
      let deltas = 0;
      const started = runner.generate(
        {
          input: text('word '.repeat(1 + random(60))),
          sampling: { seed: random(1000), temperature: random(3) / 2 },
          maxTokens: 1 + random(60),
          choices: 1 + random(3),
          ignoreEos: random(2) === 0,
        },
        (event) => {
          if (event.kind !== 'delta') return;
          deltas += 1;
          if (deltas === cancelAfter) runner.send({ kind: 'cancel', request: started.request });
        },
      );
      if (cancelAfter === 0) runner.send({ kind: 'cancel', request: started.request });
      return started.ended;
    });
    for (const { fault, stats, reasons, tokens } of await Promise.all(all)) {
      if (fault !== null) assert.equal(fault.code, 'cancelled');
      else assert.equal(tokens.flat().length, stats!.generatedTokens);
      assert.ok(fault !== null || !reasons.includes(null));
    }
    const seen = runner.messages.length;
    const isIdle = (message: FromRunner) =>
      message.kind === 'heartbeat' &&
      runner.messages.indexOf(message) >= seen &&
      message.load.runningSequences === 0;
    const idle = await runner.waitFor(isIdle);
    assert.ok(idle.kind === 'heartbeat');
    assert.equal(idle.load.usedCells, idle.load.prefixCacheCells);
    assert.equal(idle.load.queuedRequests, 0);
  },
);
