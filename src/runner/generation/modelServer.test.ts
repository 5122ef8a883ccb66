import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GenerationEvent, GenerationRequest } from '../../shared/generation.js';
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
