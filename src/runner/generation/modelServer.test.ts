import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GenerationEvent, GenerationRequest, ResumedChoice } from '../../shared/generation.js';
import type { CommandId, ModelId, RunnerId } from '../../shared/ids.js';
import { WholeModel } from '../step/wholeModel.js';
import { ByteTokenizer } from '../testing/byteTokenizer.js';
import { FakeEngine } from '../testing/fakeEngine.js';
import { ModelServer } from './modelServer.js';

const TEMPLATE = '{% for message in messages %}<turn>{{ message.content }}<end>{% endfor %}<turn>';

function newServer(chatTemplate: string | null = TEMPLATE) {
  const tokenizer = new ByteTokenizer();
  const engine = new FakeEngine({
    vocabularySize: tokenizer.vocabularySize,
    batchRows: 24,
    sequences: 6,
    cells: 512,
  });
  const server = new ModelServer(
    {
      model: {
        machine: new WholeModel(engine),
        tokenizer,
        chatTemplate,
        recommendedSampling: { temperature: 0 },
      },
      clock: () => 0,
      peakMemoryBytes: () => 1_000,
    },
    {
      runnerId: 'runner' as RunnerId,
      modelPath: 'none',
      contextTokens: 128,
      sequences: 4,
      cacheCells: 512,
      prefillChunkTokens: 16,
      threads: 1,
      gpuLayers: 0,
      part: null,
    },
  );
  return { server, tokenizer };
}

function request(more: Partial<GenerationRequest> = {}): GenerationRequest {
  return {
    commandId: 'command' as CommandId,
    modelId: 'model' as ModelId,
    input: { kind: 'text', text: 'hello' },
    sampling: { seed: 1 },
    maxTokens: 8,
    stop: [],
    ignoreEos: true,
    topLogprobs: null,
    choices: 1,
    deadlineMs: 60_000,
    ...more,
  };
}

function answer(server: ModelServer, generation: GenerationRequest): GenerationEvent[] {
  server.generate(1, generation, 0);
  const events = server.takeEvents();
  while (!server.isIdle) {
    server.step();
    events.push(...server.takeEvents());
  }
  return events.map(({ event }) => event);
}

test('an answer is started, its deltas, the end of its choice and finished, in this order', () => {
  const { server, tokenizer } = newServer();
  const events = answer(server, request());
  assert.deepEqual(events[0], { kind: 'started', promptTokens: 6, cachedPromptTokens: 0 });
  const deltas = events.filter((event) => event.kind === 'delta');
  const tokens = deltas.flatMap((event) => event.tokens);
  assert.equal(tokens.length, 8);
  const bytes = Buffer.concat(tokens.map((token) => tokenizer.bytes(token)));
  assert.equal(deltas.map((event) => event.text).join(''), bytes.toString('utf8'));
  assert.deepEqual(events.at(-2), { kind: 'choice_finished', choice: 0, reason: 'length' });
  const last = events.at(-1)!;
  assert.ok(last.kind === 'finished');
  assert.deepEqual(
    [last.stats.promptTokens, last.stats.generatedTokens, last.stats.peakMemoryBytes],
    [6, 8, 1_000],
  );
});

test('sampling fields that the request leaves out come from the model file', () => {
  const greedy = answer(newServer().server, request({ sampling: { seed: 1, temperature: 0 } }));
  assert.deepEqual(answer(newServer().server, request()), greedy);
});

test('a chat goes through the template of the model, without a second begin token', () => {
  const chat = { kind: 'chat', messages: [{ role: 'user', content: '<end>ab' }] } as const;
  const [started] = answer(newServer().server, request({ input: chat }));
  // <turn>, the seven characters of the user's text, <end>, <turn>
  assert.deepEqual(started, { kind: 'started', promptTokens: 10, cachedPromptTokens: 0 });
});

test('the start of a chat with a model that thinks says how to tell reasoning from answer', () => {
  const chat = { kind: 'chat', messages: [{ role: 'user', content: 'a' }] } as const;
  const [started] = answer(newServer(`${TEMPLATE}<think>`).server, request({ input: chat }));
  assert.ok(started?.kind === 'started');
  assert.deepEqual(started.reasoning, { open: '<think>', close: '</think>', isOpen: true });
  const [text] = answer(newServer(`${TEMPLATE}<think>`).server, request());
  assert.ok(text?.kind === 'started' && text.reasoning === undefined);
});

test('log probabilities carry text and bytes of each token and its alternatives', () => {
  const { server, tokenizer } = newServer();
  const deltas = answer(server, request({ topLogprobs: 2 })).filter((event) => event.kind === 'delta');
  const entries = deltas.flatMap((event) => event.logprobs ?? []);
  const tokens = deltas.flatMap((event) => event.tokens);
  assert.deepEqual(
    entries.map(({ bytes }) => bytes),
    tokens.map((token) => [...tokenizer.bytes(token)]),
  );
  assert.ok(entries.every(({ top }) => top.length === 2));
});

test('R12: what is wrong with a request is its only event, and the server goes on', () => {
  const { server } = newServer();
  const malformed = { ...request(), sampling: undefined } as unknown as GenerationRequest;
  const wrong: [GenerationRequest, string][] = [
    [request({ stop: ['ok', ''] }), 'invalid_request'],
    [request({ choices: 0 }), 'invalid_request'],
    [request({ choices: 17 }), 'invalid_request'],
    [request({ maxTokens: -1 }), 'invalid_request'],
    [request({ input: { kind: 'tokens', tokens: [1, 1.5] } }), 'invalid_request'],
    [request({ input: { kind: 'tokens', tokens: [-1] } }), 'invalid_request'],
    [request({ input: { kind: 'text', text: 'x'.repeat(128) } }), 'context_length_exceeded'],
    [request({ input: { kind: 'text', text: 'x'.repeat(70_000) } }), 'context_length_exceeded'],
    [malformed, 'internal_error'],
  ];
  for (const [generation, code] of wrong) {
    const events = answer(server, generation);
    assert.equal(events.length, 1);
    assert.ok(events[0]?.kind === 'failed' && events[0].fault.code === code, JSON.stringify(events[0]));
  }
  const refusing = newServer("{{ raise_exception('no') }}").server;
  const chat = { kind: 'chat', messages: [{ role: 'user', content: 'a' }] } as const;
  const [refused] = answer(refusing, request({ input: chat }));
  assert.ok(refused?.kind === 'failed' && refused.fault.code === 'template_error');
  assert.equal(answer(server, request()).at(-1)?.kind, 'finished');
});

test('R11: a cancelled request ends with one event, cancelled', () => {
  const { server } = newServer();
  server.generate(1, request({ maxTokens: 100 }), 0);
  server.step();
  server.takeEvents();
  server.cancel(1);
  server.cancel(1);
  const events = server.takeEvents();
  assert.equal(events.length, 1);
  assert.ok(events[0]!.event.kind === 'failed' && events[0]!.event.fault.code === 'cancelled');
  assert.ok(server.isIdle);
});

/** What of each choice has been told when the answer is cut after so many events. */
function resumeAfter(events: readonly GenerationEvent[], choices: number): ResumedChoice[] {
  return Array.from({ length: choices }, (_, choice) => {
    const own = events.filter((event) => 'choice' in event && event.choice === choice);
    const finished = own.find((event) => event.kind === 'choice_finished');
    const tokens = own.flatMap((event) => (event.kind === 'delta' ? event.tokens : []));
    return { tokens, reason: finished?.reason ?? null };
  });
}

/** Everything but what belongs to one process, by choice: the order among choices is of no account. */
function told(events: readonly GenerationEvent[]) {
  return [0, 1, 2].map((choice) => events.filter((event) => 'choice' in event && event.choice === choice));
}

test('R60: an answer that is cut after any event goes on elsewhere with just what is missing', () => {
  const cases: Partial<GenerationRequest>[] = [
    {},
    { sampling: { seed: 7, temperature: 1.3 } },
    { sampling: { seed: 7, temperature: 1.3, frequencyPenalty: 0.8, repetitionPenalty: 1.2 } },
    { choices: 3, sampling: { seed: 3, temperature: 1.5 } },
    { choices: 2, sampling: { seed: 3, temperature: 1.5 }, ignoreEos: false, maxTokens: 40 },
    { topLogprobs: 3, sampling: { seed: 5, temperature: 1.5 } },
  ];
  for (const more of cases) {
    const plain = request({ maxTokens: 12, ...more });
    const firstText = told(answer(newServer().server, plain))[0]!
      .flatMap((event) => (event.kind === 'delta' ? event.text : []))
      .join('');
    // A stop string that is met late, so that its beginning is held back in the middle of the answer.
    for (const stop of [[], [firstText.slice(5, 8)].filter((text) => text !== '')]) {
      const asked = { ...plain, stop };
      const whole = answer(newServer().server, asked);
      assert.equal(whole.at(-1)?.kind, 'finished');
      for (let cut = 1; cut < whole.length; cut += 1) {
        const before = whole.slice(0, cut);
        // The rest of a choice counts together with its end.
        const last = before.at(-1);
        if (last?.kind === 'delta' && last.tokens.length === 0) continue;
        const resume = resumeAfter(before, asked.choices);
        const after = answer(newServer().server, { ...asked, resume });
        assert.deepEqual(told([...before, ...after]), told(whole), `cut after ${cut} events`);
        const [end, undisturbed] = [after.at(-1), whole.at(-1)];
        assert.ok(end?.kind === 'finished' && undisturbed?.kind === 'finished');
        assert.equal(end.stats.generatedTokens, undisturbed.stats.generatedTokens);
      }
    }
  }
});

test('R12, R60: an answer that cannot go on here says why', () => {
  const { server } = newServer();
  const tokens = [1, 2, 3];
  for (const [resume, code] of [
    [[], 'invalid_request'],
    [[{ tokens: [100_000], reason: null }], 'invalid_request'],
    [[{ tokens: Array.from({ length: 200 }, () => 1), reason: null }], 'context_length_exceeded'],
    [[{ tokens: Array.from({ length: 9 }, () => 1), reason: 'length' }], 'context_length_exceeded'],
  ] as const) {
    const [event] = answer(server, request({ resume }));
    assert.ok(event?.kind === 'failed' && event.fault.code === code, JSON.stringify(event));
  }
  assert.equal(answer(server, request({ resume: [{ tokens, reason: null }] })).at(-1)?.kind, 'finished');
});

test('R60: a template that tells the date tells the same one when the answer goes on', () => {
  const chat = { kind: 'chat', messages: [{ role: 'user', content: 'a' }] } as const;
  const dated = `${TEMPLATE}{{ strftime_now('%Y-%m-%d') }}`;
  const lengths = [Date.UTC(2020, 0, 1), Date.UTC(12020, 0, 1)].map((arrivedAt) => {
    const [started] = answer(newServer(dated).server, request({ input: chat, arrivedAt }));
    assert.ok(started?.kind === 'started', JSON.stringify(started));
    return started.promptTokens;
  });
  assert.equal(lengths[1]! - lengths[0]!, 1, 'the year has a digit more');
});
