/** Runner processes that are the ranks of one model. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { RunnerPart } from '../../src/shared/runnerProtocol.js';
import { evenLayers, RankWorld } from './rankWorld.js';
import { type Collected, RunnerClient } from './runnerClient.js';
import { type TinyModelFile, tinyModelFile } from './tinyModelFile.js';

const LIMIT = { timeout: 120_000 };
const LAYERS = 4;
const WORLDS = [
  [2, 'Ring'],
  [3, 'Ring'],
  [2, 'Mesh'],
  [3, 'Mesh'],
] as const;
const PROMPTS = Array.from(
  { length: 6 },
  (_, index) => `${'a prompt that goes on '.repeat(1 + 2 * index)}and number ${index}`,
);
const SAMPLINGS = [
  { seed: 42, temperature: 0 },
  { seed: 42, temperature: 1.2, topP: 0.9 },
  // Other batches round another way, and penalties bring tokens close to each other: compared alone only.
  { seed: 42, temperature: 1.1, topP: 0.95, frequencyPenalty: 0.3, repetitionPenalty: 1.1 },
];
const IN_BATCH = SAMPLINGS.slice(0, 2);

let model: TinyModelFile;
/** What the whole model gives to each prompt, alone. */
let expected: Collected[][];

before(async () => {
  model = tinyModelFile(undefined, { layers: LAYERS });
  const whole = new RunnerClient();
  try {
    whole.load(model.path);
    await whole.ready();
    expected = await answersAlone(whole);
  } finally {
    await whole.stop();
  }
}, LIMIT);
after(() => model.remove());

async function answersAlone(runner: RunnerClient): Promise<Collected[][]> {
  const answers: Collected[][] = [];
  for (const sampling of SAMPLINGS) {
    const each: Collected[] = [];
    for (const prompt of PROMPTS) each.push(await ask(runner, prompt, sampling));
    answers.push(each);
  }
  return answers;
}

function ask(runner: RunnerClient, prompt: string, sampling = SAMPLINGS[0]!): Promise<Collected> {
  const input = { kind: 'text', text: prompt } as const;
  return runner.complete({ input, sampling, ignoreEos: true, maxTokens: 20, topLogprobs: 2 });
}

async function withWorld(
  size: number,
  transport: RunnerPart['transport'],
  action: (world: RankWorld) => Promise<void>,
): Promise<void> {
  const layers = evenLayers(LAYERS, size);
  const world = await RankWorld.start({ modelPath: model.path, transport, layers });
  try {
    await world.ready();
    await action(world);
  } finally {
    await world.stop();
  }
}

function assertSame(actual: Collected, whole: Collected): void {
  assert.equal(actual.fault, null);
  assert.deepEqual(actual.tokens, whole.tokens);
  assert.deepEqual(actual.texts, whole.texts);
}

/** Which cells a neighbour leaves free changes the rounding, which a random model may take further on for another token. */
function sure({ tokens }: Collected): number[] {
  return tokens[0]!.slice(0, 8);
}

for (const [size, transport] of WORLDS) {
  test(
    `R62, R63: a pipeline of ${size} (${transport}) gives the text of the whole model, alone and in a batch`,
    LIMIT,
    async () => {
      await withWorld(size, transport, async ({ leader }) => {
        const alone = (await answersAlone(leader)).flat();
        for (const [index, whole] of expected.flat().entries()) {
          assertSame(alone[index]!, whole);
          assert.deepEqual(alone[index]!.logprobs, whole.logprobs, 'bit for bit');
        }
        for (const [index, sampling] of IN_BATCH.entries()) {
          const batch = await Promise.all(PROMPTS.map((prompt) => ask(leader, prompt, sampling)));
          for (const [prompt, whole] of expected[index]!.entries()) {
            assert.equal(batch[prompt]!.fault, null);
            assert.deepEqual(sure(batch[prompt]!), sure(whole));
          }
        }
      });
    },
  );
}

/** By then the sums of slices have been rounded another way; the first tokens are sure ones. */
const SURE_OF_SLICES = 6;

for (const [size, transport] of [
  [2, 'Ring'],
  [4, 'Mesh'],
] as const) {
  test(`R62: ${size} slices (${transport}) give the tokens of the whole model`, LIMIT, async () => {
    const sliced = tinyModelFile(undefined, { layers: 2, kvHeads: 4, feedForwardSize: 128 });
    const whole = new RunnerClient();
    const layers = Array.from({ length: size }, () => ({ first: 0, end: 2 }));
    const world = await RankWorld.start({ modelPath: sliced.path, sharding: 'Tensor', transport, layers });
    try {
      whole.load(sliced.path);
      await Promise.all([whole.ready(), world.ready()]);
      for (const prompt of PROMPTS) {
        const [expected, alone] = [await ask(whole, prompt), await ask(world.leader, prompt)];
        assert.equal(alone.fault, null);
        assert.deepEqual(
          alone.tokens[0]!.slice(0, SURE_OF_SLICES),
          expected.tokens[0]!.slice(0, SURE_OF_SLICES),
        );
      }
      const batch = await Promise.all(PROMPTS.map((prompt) => ask(world.leader, prompt)));
      assert.ok(batch.every(({ fault, tokens }) => fault === null && tokens[0]!.length === 20));
    } finally {
      await Promise.all([whole.stop(), world.stop()]);
      sliced.remove();
    }
  });
}

test('R49: every rank reports connecting, loading, warming up and ready', LIMIT, async () => {
  await withWorld(2, 'Ring', async ({ runners }) => {
    for (const runner of runners) {
      const phases = runner.messages.flatMap((message) => (message.kind === 'phase' ? [message.phase] : []));
      const order = phases.filter((phase, index) => phase !== phases[index - 1]);
      assert.deepEqual(order, ['connecting', 'loading', 'warming_up', 'ready']);
    }
  });
});
