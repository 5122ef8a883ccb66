import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ShoalError } from '../../shared/errors.js';
import { TIMES } from '../../shared/limits.js';
import { RecordedAnswer } from '../testing/recordedAnswer.js';
import { SchedulerRig, tokensAlone } from '../testing/schedulerRig.js';

function numbers(length: number, first = 0): number[] {
  return Array.from({ length }, (_, index) => (first + index * 7) % 23);
}

test('greedy tokens are those of the engine used by hand, one row at a time', () => {
  const rig = new SchedulerRig();
  const task = rig.submit([1, 2, 3], { temperature: 0, ignoreEos: true, maxTokens: 10 });
  rig.drain();
  const { engine } = new SchedulerRig();
  const tokens = [1, 2, 3];
  for (let position = 0; tokens.length < 13; position++) {
    const result = engine.step({
      tokens: Int32Array.of(tokens[position]!),
      hidden: null,
      positions: Int32Array.of(position),
      sequences: Int32Array.of(5),
      outputs: Uint8Array.of(1),
    });
    assert.equal(result.kind, 'logits');
    if (result.kind !== 'logits' || position < 2) continue;
    const allowed = [...result.rows[0]!].slice(0, 23);
    tokens.push(allowed.indexOf(Math.max(...allowed)));
  }
  assert.deepEqual(task.answer.tokens, [tokens.slice(3)]);
  assert.deepEqual(task.answer.reasons, ['length']);
});

test('R64: a prompt is computed in chunks while every running stream gets a token in every step', () => {
  const rig = new SchedulerRig({ cells: 1000 }, { contextTokens: 200 });
  const stream = rig.submit([1], { maxTokens: 60, ignoreEos: true });
  rig.step();
  const long = rig.submit(numbers(100), { ignoreEos: true });
  while (long.answer.tokens[0]!.length === 0) {
    const before = stream.answer.tokens[0]!.length;
    rig.step();
    assert.equal(stream.answer.tokens[0]!.length, before + 1);
    assert.ok(rig.engine.steps.at(-1)!.rows <= 8 + 1, 'one chunk and one row');
  }
  assert.equal(rig.engine.steps.length, 1 + Math.ceil(100 / 8));
});

test('R64: a short prompt does not wait for the end of a long one', () => {
  const rig = new SchedulerRig({ cells: 1000 }, { contextTokens: 200 });
  const long = rig.submit(numbers(150));
  const short = rig.submit([9, 9, 9]);
  while (!short.answer.hasEnded) rig.step();
  assert.deepEqual(long.answer.tokens, [[]]);
  rig.drain();
  assert.deepEqual(long.answer.tokens, tokensAlone(long, { contextTokens: 200 }));
});

test('n choices share one prefill, and choice i draws with seed + i', () => {
  const rig = new SchedulerRig();
  const prompt = numbers(20);
  const task = rig.submit(prompt, { choices: 4, seed: 5, maxTokens: 8, ignoreEos: true });
  rig.drain();
  const rows = rig.engine.steps.reduce((sum, step) => sum + step.rows, 0);
  assert.equal(rows, 20 + 4 * 7, 'the prompt once, then one row for each token but the last');
  for (const choice of [0, 1, 2, 3]) {
    const alone = new SchedulerRig().task(prompt, { seed: 5 + choice, maxTokens: 8, ignoreEos: true });
    assert.deepEqual(task.answer.tokens[choice], tokensAlone(alone)[0]);
  }
  assert.equal(new Set(task.answer.tokens.map(String)).size, 4);
  assert.equal(task.answer.stats!.generatedTokens, 32);
});

test('choices end one by one, and the request after the last', () => {
  const rig = new SchedulerRig();
  const stops = new RecordedAnswer(3, new Set([0, 1, 2, 3, 4, 5, 6, 7]));
  rig.submit([4, 4], { choices: 3, maxTokens: 30, answer: stops });
  rig.drain();
  assert.ok(stops.stats !== null && !stops.reasons.includes(null));
  assert.ok(new Set(stops.tokens.map((tokens) => tokens.length)).size > 1, 'they have different lengths');
});

test('the end token, maxTokens and the context end an answer; ignoreEos never draws the end token', () => {
  const rig = new SchedulerRig();
  const free = Array.from({ length: 10 }, (_, seed) =>
    rig.submit([3, seed], { seed, maxTokens: null, temperature: 2 }),
  );
  const forced = rig.submit([3], { maxTokens: null, ignoreEos: true, temperature: 2 });
  rig.drain();
  assert.ok(free.some((task) => task.answer.reasons[0] === 'stop'));
  assert.ok(
    !free.some((task) => task.answer.tokens[0]!.includes(23)),
    'the end token is not part of the answer',
  );
  assert.equal(forced.answer.tokens[0]!.length, 63);
  assert.deepEqual(forced.answer.reasons, ['length']);
});

test('R65: a repeated prompt prefix is not computed twice, and the text stays the same', () => {
  const rig = new SchedulerRig();
  const prompt = numbers(30);
  const first = rig.submit(prompt);
  rig.drain();
  const rowsBefore = rig.engine.steps.reduce((sum, step) => sum + step.rows, 0);
  const second = rig.submit(prompt);
  rig.drain();
  const rows = rig.engine.steps.reduce((sum, step) => sum + step.rows, 0) - rowsBefore;
  assert.equal(second.answer.stats!.cachedPromptTokens, 29, 'all but one: its logits are needed');
  assert.ok(rows <= 1 + 6);
  assert.deepEqual(second.answer.tokens, first.answer.tokens);
});

test('R65: a conversation goes on from its last turn', () => {
  const rig = new SchedulerRig();
  const first = rig.submit(numbers(20), { ignoreEos: true });
  rig.drain();
  const next = [...numbers(20), ...first.answer.tokens[0]!, 1, 2, 3];
  const second = rig.submit(next);
  rig.drain();
  assert.equal(
    second.answer.cachedPromptTokens,
    25,
    'prompt and answer, less the last token, which was not computed',
  );
  assert.deepEqual(second.answer.tokens, tokensAlone(second));
});

test('R65: requests that arrive together compute their common prefix once', () => {
  const rig = new SchedulerRig(
    { cells: 1000, batchRows: 64 },
    { contextTokens: 200, prefillChunkTokens: 16 },
  );
  const common = numbers(96);
  const tasks = [1, 2, 3, 4].map((last) => rig.submit([...common, last]));
  rig.drain();
  assert.deepEqual(
    tasks.map((task) => task.answer.cachedPromptTokens),
    [0, 96, 96, 96],
  );
  for (const task of tasks) assert.deepEqual(task.answer.tokens, tokensAlone(task, { contextTokens: 200 }));
});

test('R65: the prefix cache is bounded by entries, gives way to requests, and can be dropped', () => {
  const rig = new SchedulerRig({ cells: 80 }, { cacheEntries: 3 });
  for (let index = 0; index < 10; index++) {
    rig.submit(numbers(12, index));
    rig.drain();
    assert.ok(rig.scheduler.load.prefixCacheCells <= 3 * 18);
  }
  const large = rig.submit(numbers(60, 50), { maxTokens: 4 });
  rig.drain();
  assert.deepEqual(large.answer.tokens, tokensAlone(large));
  rig.scheduler.dropCache();
  assert.equal(rig.scheduler.load.usedCells, 0);
  assert.equal(rig.engine.usedCells, 0);
});

test('R65: a kept prompt is dropped when as much was computed over it as it would cost again', () => {
  const rig = new SchedulerRig({}, { cacheWalks: 20 });
  let offset = 0;
  /** Each walks six times over what is kept: once for its prompt, five times for its answer. */
  const others = (count: number) => {
    for (let index = 0; index < count; index++) {
      offset += 8;
      rig.submit(numbers(8, offset), { maxTokens: 6, ignoreEos: true });
      rig.drain();
    }
  };
  const again = () => {
    const task = rig.submit(numbers(12, 7), { maxTokens: 1 });
    rig.drain();
    return task.answer.cachedPromptTokens;
  };
  assert.equal(again(), 0);
  others(2);
  assert.equal(again(), 11, 'it is there still, and its time begins anew');
  others(3);
  assert.equal(again(), 11);
  others(4);
  assert.equal(again(), 0);
  assert.equal(rig.engine.usedCells, rig.scheduler.load.usedCells);
});

test('a model that cannot be cut reuses no prefix and gives the same tokens', () => {
  const rig = new SchedulerRig({ canTruncate: false });
  const tasks = [1, 2, 3].map((seed) => rig.submit(numbers(20), { seed, choices: 2 }));
  rig.drain();
  for (const task of tasks) {
    assert.equal(task.answer.cachedPromptTokens, 0);
    assert.deepEqual(task.answer.tokens, tokensAlone(task));
  }
  assert.equal(rig.engine.usedCells, 0);
});

test('admission is in order of arrival: a large request is not starved by small ones behind it', () => {
  const rig = new SchedulerRig({ cells: 64 });
  rig.submit([1], { maxTokens: 40, ignoreEos: true });
  rig.step();
  const large = rig.submit(numbers(40), { maxTokens: 20 });
  const small = Array.from({ length: 10 }, (_, seed) => rig.submit([2], { seed, maxTokens: 2 }));
  while (!large.answer.hasEnded) {
    rig.step();
    if (large.answer.cachedPromptTokens === null) assert.ok(small.every((task) => !task.answer.hasEnded));
  }
  rig.drain();
  assert.ok(small.every((task) => task.answer.stats !== null));
});

test('R16: past its bound the queue refuses with queue_full', () => {
  const rig = new SchedulerRig({}, { queueRequests: 2 });
  rig.submit([1]);
  rig.submit([1]);
  assert.throws(
    () => rig.submit([1]),
    (error) => error instanceof ShoalError && error.code === 'queue_full',
  );
  rig.drain();
  assert.ok(rig.tasks.every((task) => task.answer.stats !== null));
});

test('R12: what cannot run is refused before the first step', () => {
  const rig = new SchedulerRig();
  const refusals: [() => unknown, string][] = [
    [() => rig.submit(numbers(64)), 'context_length_exceeded'],
    [() => rig.submit([]), 'invalid_request'],
    [() => rig.submit([1], { choices: 5 }), 'invalid_request'],
    [() => rig.submit([1], { maxTokens: 0 }), 'invalid_request'],
  ];
  for (const [submit, code] of refusals) {
    assert.throws(submit, (error) => error instanceof ShoalError && error.code === code);
  }
  const longest = rig.submit(numbers(63), { maxTokens: null });
  rig.drain();
  assert.equal(longest.answer.tokens[0]!.length, 1);
});

test('R11: a cancel ends a request in the queue, in its prefill and in its answer, and no other', () => {
  const rig = new SchedulerRig({ cells: 200 }, { sequences: 2 });
  const answering = rig.submit([1], { maxTokens: 50, ignoreEos: true });
  rig.step();
  const prefilling = rig.submit(numbers(40));
  const queued = rig.submit([5]);
  const survivor = rig.submit([6], { ignoreEos: true });
  rig.step();
  for (const task of [queued, prefilling, answering]) {
    assert.equal(rig.scheduler.cancel(task.request), true);
    assert.equal(task.answer.fault?.code, 'cancelled');
    assert.equal(rig.scheduler.cancel(task.request), false, 'it is gone');
  }
  assert.equal(queued.answer.cachedPromptTokens, null);
  rig.drain();
  assert.deepEqual(survivor.answer.tokens, tokensAlone(survivor));
});

test('R10: each deadline names its phase', () => {
  const phaseOf = (rig: SchedulerRig, waitMs: number) => {
    const task = rig.tasks.at(-1)!;
    rig.nowMs += waitMs;
    rig.step();
    assert.equal(task.answer.fault?.code, 'deadline_exceeded');
    return task.answer.fault?.details?.phase;
  };
  const inQueue = new SchedulerRig({ cells: 64 });
  inQueue.submit([1], { maxTokens: 60, ignoreEos: true });
  inQueue.step();
  inQueue.submit([1], { maxTokens: 60 });
  assert.equal(phaseOf(inQueue, TIMES.queueDeadlineMs), 'queue');

  const first = new SchedulerRig();
  first.submit(numbers(20));
  first.step();
  assert.equal(phaseOf(first, TIMES.firstTokenBaseMs + 20 * TIMES.firstTokenPerPromptTokenMs), 'first token');

  const between = new SchedulerRig();
  between.submit([1], { ignoreEos: true });
  between.step();
  assert.equal(phaseOf(between, TIMES.betweenTokensMs), 'between tokens');

  const total = new SchedulerRig();
  total.submit([1], { ignoreEos: true, deadlineMs: 100 });
  total.step();
  assert.equal(phaseOf(total, 100), 'between tokens');
});

test('R66: a sequence whose step fails ends alone with engine_error, its neighbours keep their tokens', () => {
  for (const trouble of ['throw', 'no_room'] as const) {
    const rig = new SchedulerRig();
    rig.engine.trouble = (histories) => (histories.some((tokens) => tokens[0] === 13) ? trouble : null);
    const tasks = [
      [1, 2],
      [13, 2],
      [3, 4],
      [13, 5],
    ].map((prompt) => rig.submit(prompt, { ignoreEos: true }));
    rig.drain();
    for (const task of tasks) {
      if (task.prompt[0] === 13) assert.equal(task.answer.fault?.code, 'engine_error');
      else assert.deepEqual(task.answer.tokens, tokensAlone(task));
    }
    rig.scheduler.dropCache();
    assert.equal(rig.engine.usedCells, 0);
  }
});

test('R66: logits that are not numbers end their own sequence only', () => {
  const rig = new SchedulerRig();
  rig.engine.poisonTokens.add(17);
  const poisoned = rig.submit([17], { choices: 2 });
  const healthy = rig.submit([1], { temperature: 0, maxTokens: 1 });
  rig.drain();
  assert.equal(poisoned.answer.fault?.code, 'engine_error');
  assert.deepEqual(healthy.answer.tokens, tokensAlone(healthy));
});

test('R66: an answer that throws ends its own request only', () => {
  const rig = new SchedulerRig();
  const broken = new RecordedAnswer(1);
  broken.token = () => {
    throw new Error('cannot take a token');
  };
  rig.submit([1], { answer: broken });
  const healthy = rig.submit([2]);
  rig.drain();
  assert.equal(broken.fault?.code, 'internal_error');
  assert.deepEqual(healthy.answer.tokens, tokensAlone(healthy));
});

test('R11: an aborted step is planned anew; only a step of one request is offered for it', () => {
  const rig = new SchedulerRig();
  const task = rig.submit(numbers(30), { ignoreEos: true });
  rig.engine.abortFlag[0] = 1;
  rig.step();
  assert.equal(rig.engine.steps.length, 0);
  assert.equal(rig.engine.abortFlag[0], 0);
  assert.deepEqual(rig.soleRequests, [task.request, null]);
  const other = rig.submit([5], { ignoreEos: true });
  rig.drain();
  assert.ok(rig.soleRequests.filter((request) => request === null).length > rig.soleRequests.length / 2);
  for (const { answer, ...rest } of [task, other]) {
    assert.deepEqual(answer.tokens, tokensAlone({ ...rest, answer }));
  }
});

test('log probabilities come with each token when they are asked for', () => {
  const rig = new SchedulerRig();
  const task = rig.submit([1, 2], { topLogprobs: 3, temperature: 0, ignoreEos: true });
  rig.drain();
  assert.deepEqual(
    task.answer.chances.map((chance) => chance.token),
    task.answer.tokens[0],
  );
  assert.ok(task.answer.chances.every((chance) => chance.top.length === 3 && chance.logprob < 0));
});

test('requests that fill the cells to the last one run side by side to their ends', () => {
  const rig = new SchedulerRig({ cells: 4 * (10 + 11) });
  const tasks = [1, 2, 3, 4].map((first) =>
    rig.submit(numbers(10, first), { maxTokens: 12, ignoreEos: true }),
  );
  rig.step();
  assert.equal(rig.scheduler.load.runningSequences, 4);
  rig.drain();
  assert.equal(rig.engine.steppedOver, 0);
  for (const task of tasks) assert.equal(task.answer.tokens[0]!.length, 12);
});

test('a request waits while two cells are missing for its longest answer', () => {
  const rig = new SchedulerRig({ cells: 2 * 21 + 10 });
  for (const first of [1, 2]) rig.submit(numbers(10, first), { maxTokens: 12, ignoreEos: true });
  const third = rig.submit(numbers(10, 3), { maxTokens: 3, ignoreEos: true });
  while (rig.tasks.every((task) => !task.answer.hasEnded)) {
    rig.step();
    assert.ok(third.answer.cachedPromptTokens === null || rig.scheduler.load.runningSequences < 3);
  }
  rig.drain();
  assert.equal(third.answer.tokens[0]!.length, 3);
  assert.equal(rig.engine.steppedOver, 0);
});

test('R66: a recurrent model loses the sequences of a failed step, and only these', () => {
  const rig = new SchedulerRig({ canTruncate: false });
  const lost = [rig.submit([1, 2], { ignoreEos: true }), rig.submit([3, 4], { ignoreEos: true })];
  rig.step();
  rig.engine.trouble = () => 'throw';
  rig.step();
  rig.engine.trouble = () => null;
  for (const task of lost) assert.equal(task.answer.fault?.code, 'engine_error');
  const next = rig.submit([5, 6]);
  rig.drain();
  assert.deepEqual(next.answer.tokens, tokensAlone(next));
  assert.equal(rig.engine.usedCells, 0);
});
