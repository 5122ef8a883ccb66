/** What a runner makes of another rank that has the secret, keeps the links, and sends steps that cannot be. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { TINY_SHAPE } from '../../src/engine/selfTest/tinyModel.js';
import { afterMessage, writeStage } from '../../src/runner/ranks/message.js';
import { resolveSampling } from '../../src/runner/sampler/parameters.js';
import type { Drawing, StepPlan } from '../../src/runner/step/contract.js';
import type { Fault } from '../../src/shared/errors.js';
import { encodeFrame, FrameReader } from '../../src/shared/frames.js';
import { evenLayers } from './rankWorld.js';
import { type RoguePlan, RogueWorld } from './rogueWorld.js';
import type { RunnerClient } from './runnerClient.js';
import { type TinyModelFile, tinyModelFile } from './tinyModelFile.js';

const LIMIT = { timeout: 60_000 };
const LAYERS = 2;
const HIDDEN_BYTES = TINY_SHAPE.hiddenSize * Float32Array.BYTES_PER_ELEMENT;
const ZEROS = Buffer.alloc(HIDDEN_BYTES);
const NO_ROWS = Buffer.alloc(0);
const LONG = 16 * 1024 * 1024;

let model: TinyModelFile;
before(() => {
  model = tinyModelFile(undefined, { layers: LAYERS, kvHeads: 4, feedForwardSize: 128 });
});
after(() => model.remove());

const DRAWING: Drawing = {
  sampling: resolveSampling({ seed: 0, temperature: 0 }, {}, 1),
  key: [0, 0],
  forbidden: [],
  prompt: null,
  topLogprobs: null,
  known: new Int32Array(0),
};
/** One row of a sequence that begins, which draws. */
const STEP: StepPlan = {
  input: {
    tokens: null,
    hidden: null,
    positions: Int32Array.of(0),
    sequences: Int32Array.of(0),
    outputs: Uint8Array.of(1),
  },
  draws: [[0]],
};
const BEGIN = { kind: 'begin', sequence: 0, drawing: DRAWING } as const;

const frame = (message: unknown): Uint8Array => encodeFrame(message, LONG);

/** A message as a stage writes it, with hidden states behind it. @param fields that no stage writes like this */
function stage(
  operations: readonly object[],
  step: StepPlan | null,
  hidden = ZEROS,
  fields: object = {},
): Uint8Array {
  const room = new Uint8Array(64 * 1024);
  const length = writeStage(room, { operations: operations as [], step, failure: null });
  const [wire] = new FrameReader(LONG).push(Buffer.from(room.subarray(0, length)));
  const head = frame({ ...(wire as object), ...fields });
  if (step === null) return head;
  const padding = Buffer.alloc(afterMessage(head.length) - head.length);
  return Buffer.concat([head, padding, hidden]);
}

async function withWorld(
  plan: Omit<RoguePlan, 'modelPath' | 'layers'>,
  action: (world: RogueWorld, honest: RunnerClient) => Promise<void>,
): Promise<void> {
  const whole = { first: 0, end: LAYERS };
  const layers = plan.sharding === 'Tensor' ? [whole, whole] : evenLayers(LAYERS, 2);
  const world = await RogueWorld.start({ modelPath: model.path, layers, ...plan });
  try {
    // Both have loaded.
    await world.rogue.barrier();
    await action(world, world.honest[0]!);
  } finally {
    await world.stop();
  }
}

/** It ends by itself, says why, and names the rogue. */
async function assertBlamed(runner: RunnerClient, rogue: number, says: RegExp): Promise<void> {
  const fatal = await runner.waitFor(({ kind }) => kind === 'fatal');
  const { code, message, details } = (fatal as { fault: Fault }).fault;
  assert.equal(code, 'peer_protocol_error', message);
  assert.deepEqual(details, { rank: rogue, node: 'rogue' });
  assert.match(message, says);
  assert.equal((await runner.exited).code, 1);
}

const TO_LAST_STAGE: readonly (readonly [what: string, message: () => Uint8Array, says: RegExp])[] = [
  ['nothing', () => new Uint8Array(0), /a message of 0 bytes/],
  ['a length past the end', () => Uint8Array.of(255, 255, 255, 255, 1), /5 bytes instead of/],
  ['no MessagePack', () => Uint8Array.of(1, 0, 0, 0, 0xc1), /no step of a model/],
  ['half a row', () => stage([BEGIN], STEP, Buffer.alloc(HIDDEN_BYTES / 2)), /bytes of hidden states/],
  ['more than there is room for', () => new Uint8Array(LONG), /where there is room for/],
  ['a sequence that has not begun', () => stage([], STEP), /drawn from before it began/],
  [
    'a cut of what is not there',
    () => stage([{ kind: 'cut', sequence: 0, length: 3 }], null),
    /cannot be done/,
  ],
  ['no drawing', () => stage([], null, NO_ROWS, { operations: [{ kind: 'begin', sequence: 0 }] }), /no list/],
  ['outputs without end', () => stage([BEGIN], STEP, ZEROS, { outputs: { length: 2 ** 40 } }), /outputs/],
  ['a million draws', () => stage([BEGIN], STEP, ZEROS, { draws: [Array(5_000).fill(0)] }), /drawing twice/],
];

describe('a rogue rank', { concurrency: 3 }, () => {
  for (const [what, message, says] of TO_LAST_STAGE) {
    test(`R7, R12: a stage that is sent ${what} ends, and names the sender`, LIMIT, () =>
      withWorld({ sharding: 'Pipeline', rogue: 0 }, async ({ rogue }, honest) => {
        // What is refused while it arrives ends the sending of it.
        await rogue.send(1, 0, [message()]).catch(() => undefined);
        await assertBlamed(honest, 0, says);
        assert.equal((await rogue.ended)?.code, 'peer_protocol_error');
      }),
    );
  }

  test('R66: hidden states that are no numbers fail their step, and nothing else', LIMIT, () =>
    withWorld({ sharding: 'Pipeline', rogue: 0 }, async ({ rogue }) => {
      const kindOf = async () => {
        const { bytes } = await rogue.receive(1);
        return (new FrameReader(LONG).push(Buffer.from(bytes))[0] as { kind: string }).kind;
      };
      await rogue.send(1, 0, [stage([BEGIN], STEP, Buffer.alloc(HIDDEN_BYTES, 255))]);
      assert.equal(await kindOf(), 'failed');
      // After its first step it waits for all to be warm.
      await rogue.barrier();
      await rogue.send(1, 0, [stage([], STEP)]);
      assert.equal(await kindOf(), 'drawn');
    }),
  );

  const drawn = (token: unknown) => ({ kind: 'drawn', drawn: [{ kind: 'token', token, chance: null }] });
  const answers: readonly (readonly [what: string, answer: unknown, says: RegExp])[] = [
    ['no token', { kind: 'drawn', drawn: [] }, /0 tokens, where 1/],
    ['a token that the model does not have', drawn(TINY_SHAPE.vocabularySize), /none of the model/],
    ['a failure without a reason', { kind: 'failed', fault: { code: 'constructor' } }, /without a reason/],
  ];
  for (const [what, answer, says] of answers) {
    test(
      `R1, R7: a first stage that is answered ${what} in mid-stream ends, and names the sender`,
      LIMIT,
      () =>
        withWorld({ sharding: 'Pipeline', rogue: 1 }, async ({ rogue }, honest) => {
          await rogue.receive(0);
          await rogue.send(0, 0, [frame(drawn(0))]);
          await rogue.barrier();
          await honest.ready();
          const pending = honest.generate({ maxTokens: 8, ignoreEos: true });
          await rogue.receive(0);
          await rogue.send(0, 0, [frame(answer)]);
          await assertBlamed(honest, 1, says);
          void pending;
        }),
    );
  }

  test('R7: a first stage that is answered more often than it asks ends, and names the sender', LIMIT, () =>
    withWorld({ sharding: 'Pipeline', rogue: 1 }, async ({ rogue }, honest) => {
      await rogue.receive(0);
      for (const _ of ['once', 'again']) await rogue.send(0, 0, [frame(drawn(0))]);
      await rogue.barrier();
      await honest.ready();
      honest.generate({});
      await assertBlamed(honest, 1, /nobody asked for/);
    }),
  );

  const slices: readonly (readonly [
    what: string,
    act: (world: RogueWorld) => Promise<void>,
    says: RegExp,
  ])[] = [
    ['a step without tokens', ({ rogue }) => rogue.broadcast(stage([], STEP, NO_ROWS)), /cannot be done/],
    ['no step', ({ rogue }) => rogue.broadcast(frame('step')), /no step of a model/],
    [
      'a sum of another length',
      async ({ rogue }) => {
        const tokens = Int32Array.of(0);
        await rogue.broadcast(stage([], { ...STEP, input: { ...STEP.input, tokens } }, NO_ROWS));
        await rogue.allReduce(new Float32Array(1)).catch(() => undefined);
      },
      /bytes for operation/,
    ],
  ];
  for (const [what, act, says] of slices) {
    test(`R7: a slice that is told ${what} ends, and names the sender`, LIMIT, () =>
      withWorld({ sharding: 'Tensor', rogue: 0 }, async (world, honest) => {
        await act(world);
        await assertBlamed(honest, 0, says);
      }),
    );
  }
});
