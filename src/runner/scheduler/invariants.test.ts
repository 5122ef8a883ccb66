/** Laws of the scheduler under random arrivals, sizes, cancels, deadlines, aborts and engine failures. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { FakeEngine } from '../testing/fakeEngine.js';
import { FakePipeline } from '../testing/fakePipeline.js';
import { type RigTask, SchedulerRig, tokensAlone } from '../testing/schedulerRig.js';

interface Arrival {
  readonly prompt: readonly number[];
  readonly maxTokens: number | null;
  readonly choices: number;
  readonly seed: number;
  readonly temperature: number;
  readonly frequencyPenalty: number;
  readonly deadlineMs: number;
  readonly ignoreEos: boolean;
}

type Action =
  | { readonly kind: 'arrive'; readonly arrival: Arrival }
  | { readonly kind: 'cancel'; readonly pick: number }
  | { readonly kind: 'steps'; readonly count: number }
  | { readonly kind: 'abort' }
  | { readonly kind: 'drop cache' }
  | { readonly kind: 'trouble'; readonly trouble: 'throw' | 'no_room'; readonly token: number };

const prompts = fc
  .tuple(
    fc.integer({ min: 0, max: 2 }),
    fc.integer({ min: 0, max: 45 }),
    fc.array(fc.nat(22), { minLength: 1, maxLength: 6 }),
  )
  .map(
    // Prompts of a few families, so that prefixes are shared, parted and repeated.
    ([family, length, tail]) => [
      ...Array.from({ length }, (_, index) => (family * 5 + index * 3) % 22),
      ...tail,
    ],
  );

const arrivals: fc.Arbitrary<Arrival> = fc.record({
  prompt: prompts,
  maxTokens: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constant(null)),
  choices: fc.oneof(
    { weight: 3, arbitrary: fc.constant(1) },
    { weight: 1, arbitrary: fc.integer({ min: 2, max: 4 }) },
  ),
  seed: fc.nat(3),
  temperature: fc.constantFrom(0, 0.7, 1.5),
  frequencyPenalty: fc.constantFrom(0, 0.5),
  deadlineMs: fc.oneof(
    { weight: 5, arbitrary: fc.constant(600_000) },
    { weight: 1, arbitrary: fc.integer({ min: 10, max: 200 }) },
  ),
  ignoreEos: fc.boolean(),
});

const actions: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('arrive' as const), arrival: arrivals }) },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('steps' as const), count: fc.integer({ min: 1, max: 8 }) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('cancel' as const), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('abort' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('drop cache' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('trouble' as const),
      trouble: fc.constantFrom('throw' as const, 'no_room' as const),
      token: fc.nat(22),
    }),
  },
);

const engines = fc
  .record({
    cells: fc.integer({ min: 64, max: 200 }),
    sequences: fc.integer({ min: 4, max: 9 }),
    batchRows: fc.integer({ min: 5, max: 24 }),
    canTruncate: fc.oneof(
      { weight: 4, arbitrary: fc.constant(true) },
      { weight: 1, arbitrary: fc.constant(false) },
    ),
  })
  .map((engine) => (engine.canTruncate ? engine : { ...engine, cells: engine.cells + 160 }));

/** One step, with the laws that hold in every one. */
function checkedStep(rig: SchedulerRig, isUndisturbed: boolean): void {
  // Choices that cannot share their prompt begin one by one: the first may be over before the next has begun.
  const decoding = rig.tasks.filter(
    ({ answer }) =>
      !answer.hasEnded &&
      answer.tokens.some((tokens, choice) => tokens.length > 0 && answer.reasons[choice] === null),
  );
  const before = decoding.map((task) => task.answer.tokens.flat().length + finished(task));
  rig.step();
  const { usedCells, totalCells, runningSequences } = rig.scheduler.load;
  assert.equal(usedCells, rig.engine.usedCells, 'the ledger agrees with the engine');
  assert.ok(rig.scheduler.committedCells <= totalCells, 'no more is promised than there is');
  assert.ok(runningSequences <= 4);
  if (!isUndisturbed) return;
  for (const [index, task] of decoding.entries()) {
    const now = task.answer.tokens.flat().length + finished(task);
    assert.ok(task.answer.hasEnded || now > before[index]!, 'a running stream gets a token in every step');
  }
}

function finished(task: RigTask): number {
  return task.answer.reasons.filter((reason) => reason !== null).length;
}

function perform(rig: SchedulerRig, action: Action): void {
  switch (action.kind) {
    case 'arrive':
      rig.submit(action.arrival.prompt, action.arrival);
      return;
    case 'cancel': {
      const task = rig.tasks[action.pick % Math.max(rig.tasks.length, 1)];
      if (task === undefined) return;
      const wasRunning = !task.answer.hasEnded;
      assert.equal(rig.scheduler.cancel(task.request), wasRunning);
      assert.ok(task.answer.hasEnded);
      return;
    }
    case 'steps':
      for (let step = 0; step < action.count; step++) checkedStep(rig, true);
      return;
    case 'abort':
      rig.engine.abortFlag[0] = 1;
      checkedStep(rig, false);
      rig.engine.abortFlag[0] = 0;
      return;
    case 'drop cache':
      rig.scheduler.dropCache();
      return;
    case 'trouble': {
      const { trouble, token } = action;
      rig.engine.trouble = (histories) =>
        histories.some((tokens) => tokens.at(-1) === token) ? trouble : null;
      checkedStep(rig, false);
      rig.engine.trouble = () => null;
    }
  }
}

test('R1, R63, R66: every request ends once, with the tokens that it gets alone, and gives back its cells', () => {
  fc.assert(
    fc.property(engines, fc.array(actions, { maxLength: 40 }), (engine, script) => {
      const rig = new SchedulerRig(engine, { prefillChunkTokens: 7, cacheEntries: 3, cacheWalks: 30 });
      for (const action of script) perform(rig, action);
      rig.drain();
      assert.equal(rig.engine.steppedOver, 0, 'no step was planned that does not fit');
      const hadTrouble = script.some((action) => action.kind === 'trouble');
      const faults = ['cancelled', 'deadline_exceeded', ...(hadTrouble ? ['engine_error'] : [])];
      for (const task of rig.tasks) {
        const { answer } = task;
        assert.ok(answer.hasEnded);
        if (answer.fault !== null) {
          assert.ok(faults.includes(answer.fault.code), answer.fault.message);
        }
        const alone = tokensAlone(task, { sequences: 16 });
        for (const [choice, tokens] of answer.tokens.entries()) {
          // A small cache may bound an answer without a limit of its own; and a failed one has got a part only.
          assert.deepEqual(tokens, alone[choice]!.slice(0, tokens.length));
          if (answer.fault === null && task.maxTokens !== null && task.choices === 1) {
            assert.equal(tokens.length, alone[choice]!.length);
          }
        }
      }
      const { runningSequences, queuedRequests, usedCells, prefixCacheCells } = rig.scheduler.load;
      assert.deepEqual([runningSequences, queuedRequests, usedCells - prefixCacheCells], [0, 0, 0]);
      assert.equal(rig.engine.usedCells, prefixCacheCells);
      rig.scheduler.dropCache();
      assert.equal(rig.engine.usedCells, 0, 'nothing but the cache was left');
    }),
    { numRuns: 300 },
  );
});

/** What can go wrong on either stage. Aborts are asked of the first one, which alone can have them. */
function performOnPipeline(rig: SchedulerRig, last: FakeEngine, action: Action): void {
  switch (action.kind) {
    case 'steps':
      for (let step = 0; step < action.count; step++) rig.step();
      return;
    case 'abort':
      rig.engine.abortFlag[0] = 1;
      rig.step();
      rig.engine.abortFlag[0] = 0;
      return;
    case 'trouble': {
      const { trouble, token } = action;
      const stage = token % 2 === 0 ? rig.engine : last;
      stage.trouble = (histories) => (histories.some((tokens) => tokens.at(-1) === token) ? trouble : null);
      for (let step = 0; step < 3; step++) rig.step();
      stage.trouble = () => null;
      return;
    }
    default:
      perform(rig, action);
  }
}

test('R1, R63, R66: the same with several steps on their way, whichever stage fails', () => {
  const delays = fc.array(fc.nat(4), { minLength: 1, maxLength: 9 });
  const depths = fc.integer({ min: 2, max: 4 });
  fc.assert(
    fc.property(
      engines,
      depths,
      delays,
      fc.array(actions, { maxLength: 40 }),
      (engine, depth, waits, script) => {
        let next = 0;
        let pipeline: FakePipeline | null = null;
        const options = { prefillChunkTokens: 7, cacheEntries: 3, cacheWalks: 30 };
        const rig = new SchedulerRig(engine, options, (first) => {
          pipeline = new FakePipeline(first, depth, () => waits[next++ % waits.length]!);
          return pipeline;
        });
        const { last } = pipeline!;
        for (const action of script) {
          performOnPipeline(rig, last, action);
          assert.ok(rig.scheduler.committedCells <= rig.scheduler.load.totalCells);
        }
        rig.drain();
        assert.equal(rig.engine.steppedOver + last.steppedOver, 0, 'no step was planned that does not fit');
        for (const task of rig.tasks) {
          const { answer } = task;
          assert.ok(answer.hasEnded);
          const alone = tokensAlone(task, { sequences: 16 });
          for (const [choice, tokens] of answer.tokens.entries()) {
            assert.deepEqual(tokens, alone[choice]!.slice(0, tokens.length));
          }
        }
        pipeline!.settle();
        const { runningSequences, queuedRequests, usedCells, prefixCacheCells } = rig.scheduler.load;
        assert.deepEqual([runningSequences, queuedRequests, usedCells - prefixCacheCells], [0, 0, 0]);
        assert.deepEqual([rig.engine.usedCells, last.usedCells], [prefixCacheCells, prefixCacheCells]);
        rig.scheduler.dropCache();
        pipeline!.settle();
        assert.deepEqual([rig.engine.usedCells, last.usedCells], [0, 0], 'nothing but the cache was left');
      },
    ),
    { numRuns: 300 },
  );
});

test('with two sequences or more, every stage has a step as soon as it has none', () => {
  let pipeline: FakePipeline | null = null;
  const rig = new SchedulerRig({}, {}, (first) => {
    pipeline = new FakePipeline(first, 2, () => 2);
    return pipeline;
  });
  for (const first of [1, 2, 3, 4]) rig.submit([first, 5, 6], { maxTokens: 20, ignoreEos: true });
  rig.drain();
  assert.equal(pipeline!.mostUnderway, 2);
  const rowsOfDecoding = rig.engine.steps.slice(6, -6).map(({ rows }) => rows);
  assert.ok(
    rowsOfDecoding.every((rows) => rows === 2),
    `four sequences in two halves: ${rowsOfDecoding}`,
  );
});
