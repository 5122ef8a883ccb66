import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ERRORS } from '../../shared/errors.js';
import { encodeFrame, FrameError, FrameReader } from '../../shared/frames.js';
import { LIMITS } from '../../shared/limits.js';
import { resolveSampling } from '../sampler/parameters.js';
import type { Drawing, StepPlan } from '../step/contract.js';
import { appendHidden } from './firstStage.js';
import {
  type OutcomeMessage,
  readOutcome,
  readStage,
  type SequenceOperation,
  type StageMessage,
  writeOutcome,
  writeStage,
} from './message.js';

const HIDDEN = 3;
const BOUNDS = { sequences: 8, vocabularySize: 50 };
const ROOM_BYTES = 64 * 1024;

const slot = fc.nat(BOUNDS.sequences - 1);
const token = fc.nat(BOUNDS.vocabularySize - 1);
const tokens = fc.array(token, { maxLength: 6 }).map((list) => Int32Array.from(list));
const word = fc.nat(2 ** 32 - 1);

const drawing: fc.Arbitrary<Drawing> = fc.record({
  sampling: fc
    .record({ seed: fc.integer(), temperature: fc.constantFrom(0, 0.7), topP: fc.constantFrom(1, 0.9) })
    .map((asked) => resolveSampling({ ...asked, logitBias: [[3, -1]] }, {}, BOUNDS.vocabularySize)),
  key: fc.tuple(word, word),
  forbidden: fc.array(token, { maxLength: 3 }),
  prompt: fc.option(tokens),
  topLogprobs: fc.option(fc.nat(LIMITS.topLogprobs)),
  known: tokens,
});

const operation: fc.Arbitrary<SequenceOperation> = fc.oneof(
  fc.record({ kind: fc.constant('begin' as const), sequence: slot, drawing }),
  fc.record({ kind: fc.constant('copy' as const), from: slot, to: slot, length: fc.nat(500) }),
  fc.record({ kind: fc.constant('cut' as const), sequence: slot, length: fc.nat(500) }),
);

/** Each row is the next of another sequence, and some have the next token drawn. */
const step: fc.Arbitrary<StepPlan> = fc
  .uniqueArray(fc.tuple(slot, fc.nat(500), fc.boolean()), {
    minLength: 1,
    maxLength: 5,
    selector: ([sequence]) => sequence,
  })
  .map((rows) => ({
    input: {
      tokens: null,
      hidden: Float32Array.from({ length: rows.length * HIDDEN }, (_, index) => index),
      positions: Int32Array.from(rows, ([, position]) => position),
      sequences: Int32Array.from(rows, ([sequence]) => sequence),
      outputs: Uint8Array.from(rows, ([, , isDrawn]) => Number(isDrawn)),
    },
    draws: rows.filter(([, , isDrawn]) => isDrawn).map(([sequence]) => [sequence]),
  }));

const stage: fc.Arbitrary<StageMessage> = fc.record({
  operations: fc.array(operation, { maxLength: 3 }),
  step: fc.option(step),
  failure: fc.constant(null),
});

/** A zero without a sign: MessagePack writes −0 as the integer 0. */
const logprob = fc.double({ noNaN: true }).map((value) => value + 0);
const chance = fc
  .tuple(token, logprob)
  .map(([id, logprob]) => ({ token: id, logprob, top: [{ token: id, logprob }] }));
const outcome: fc.Arbitrary<OutcomeMessage> = fc.oneof(
  fc.record({
    kind: fc.constant('drawn' as const),
    drawn: fc.array(fc.record({ kind: fc.constant('token' as const), token, chance: fc.option(chance) }), {
      maxLength: 4,
    }),
  }),
  fc.record({
    kind: fc.constant('failed' as const),
    fault: fc.record({ code: fc.constant('engine_error' as const), message: fc.string() }),
  }),
);

function bytesOfStage(message: StageMessage): Uint8Array {
  const room = new Uint8Array(ROOM_BYTES);
  const length = writeStage(room, message);
  const hidden = message.step?.input.hidden ?? null;
  return room.subarray(0, hidden === null ? length : appendHidden(room, length, hidden));
}

function bytesOfOutcome(message: OutcomeMessage): Uint8Array {
  const room = new Uint8Array(ROOM_BYTES);
  return room.subarray(0, writeOutcome(room, message));
}

const drawnIn = (message: OutcomeMessage): number => (message.kind === 'drawn' ? message.drawn.length : 1);

test('what one rank tells, the next one reads', () => {
  fc.assert(
    fc.property(stage, (message) => {
      assert.deepEqual(readStage(bytesOfStage(message), HIDDEN, BOUNDS), structuredClone(message));
    }),
  );
  fc.assert(
    fc.property(outcome, (message) => {
      const read = readOutcome(bytesOfOutcome(message), drawnIn(message), BOUNDS);
      assert.deepEqual(read, structuredClone(message));
    }),
  );
});

/** What breaks loops and indices, and what MessagePack can say beside. */
const wrong = fc.oneof(
  fc.constantFrom<unknown>(
    Number.NaN,
    -1,
    1e9,
    2 ** 53,
    0.5,
    '',
    '7',
    null,
    true,
    [],
    {},
    [[]],
    [null],
    { length: 2 ** 40 },
    new Uint8Array(3),
    new Uint8Array(8).fill(255),
  ),
  fc.jsonValue(),
);

/** Replaces something within a value: where `path` leads, as long as there is something. */
function replaced(value: unknown, path: readonly number[], by: unknown): unknown {
  const [first, ...rest] = path;
  if (first === undefined || typeof value !== 'object' || value === null || value instanceof Uint8Array)
    return by;
  const keys = Object.keys(value);
  const key = keys[first % keys.length];
  if (key === undefined) return by;
  const next = replaced((value as Record<string, unknown>)[key], rest, by);
  if (Array.isArray(value)) return value.map((item, index) => (String(index) === key ? next : item));
  return { ...value, [key]: next };
}

/** The same message with something else in it; what follows the frame stays. */
function disturbed(bytes: Uint8Array, path: readonly number[], by: unknown): Uint8Array {
  const end = 4 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const [message] = new FrameReader(ROOM_BYTES).push(Buffer.from(bytes.subarray(0, end)));
  const frame = encodeFrame(replaced(message, path, by), ROOM_BYTES);
  const room = new Uint8Array(2 * ROOM_BYTES);
  room.set(frame);
  const at = Math.ceil(frame.length / 64) * 64;
  const rest = bytes.subarray(Math.ceil(end / 64) * 64);
  room.set(rest, at);
  return room.subarray(0, rest.length === 0 ? frame.length : at + rest.length);
}

/** It can be read, and then nothing in it is outside of the model; or it says that it cannot. */
function assertReadOrRefused<Message>(
  read: () => Message,
  isWithin: (message: Message) => boolean = () => true,
) {
  let message: Message;
  try {
    message = read();
  } catch (error) {
    assert.ok(error instanceof FrameError, String((error as Error).stack));
    return;
  }
  assert.ok(isWithin(message), JSON.stringify(message));
}

const path = fc.array(fc.nat(20), { minLength: 1, maxLength: 6 });
const isSlot = (value: number) => Number.isInteger(value) && value >= 0 && value < BOUNDS.sequences;
const isToken = (value: number) => Number.isInteger(value) && value >= 0 && value < BOUNDS.vocabularySize;

function isStageWithin({ operations, step: told }: StageMessage): boolean {
  const draws = told?.draws.flat() ?? [];
  return (
    draws.every(isSlot) &&
    new Set(draws).size === draws.length &&
    operations.every((one) => {
      if (one.kind === 'copy') return isSlot(one.from) && isSlot(one.to) && Number.isInteger(one.length);
      if (one.kind === 'cut') return isSlot(one.sequence) && Number.isInteger(one.length);
      const { known, forbidden, topLogprobs } = one.drawing;
      const areTokens = known.every(isToken) && forbidden.every(isToken);
      return isSlot(one.sequence) && areTokens && (topLogprobs ?? 0) <= LIMITS.topLogprobs;
    })
  );
}

test('R7, R12: a step with anything in it is read within the bounds of the model, or refused', () => {
  fc.assert(
    fc.property(stage, path, wrong, (message, where, by) => {
      const bytes = disturbed(bytesOfStage(message), where, by);
      assertReadOrRefused(() => readStage(bytes, HIDDEN, BOUNDS), isStageWithin);
    }),
    { numRuns: 1_000 },
  );
});

test('R7, R12: an outcome with anything in it is read within the bounds of the model, or refused', () => {
  const isWithin = (message: OutcomeMessage) =>
    message.kind === 'failed' ||
    message.drawn.every((drawn) =>
      drawn.kind === 'token' ? isToken(drawn.token) : drawn.fault.code in ERRORS,
    );
  fc.assert(
    fc.property(outcome, path, wrong, (message, where, by) => {
      const bytes = disturbed(bytesOfOutcome(message), where, by);
      const draws = drawnIn(message);
      assertReadOrRefused(
        () => readOutcome(bytes, draws, BOUNDS),
        (read) => isWithin(read) && (read.kind === 'failed' || read.drawn.length === draws),
      );
    }),
    { numRuns: 1_000 },
  );
});

test('R7, R12: bytes that are cut off or changed are read or refused', () => {
  fc.assert(
    fc.property(stage, fc.nat(), fc.nat(), fc.nat(255), (message, end, at, byte) => {
      const bytes = Uint8Array.from(bytesOfStage(message));
      bytes[at % bytes.length] = byte;
      const cut = bytes.subarray(0, end % (bytes.length + 1));
      for (const some of [cut, bytes]) {
        // Hidden states begin where numbers may.
        const aligned = new Uint8Array(some);
        assertReadOrRefused(() => readStage(aligned, HIDDEN, BOUNDS), isStageWithin);
        assertReadOrRefused(() => readOutcome(aligned, 1, BOUNDS));
      }
    }),
    { numRuns: 1_000 },
  );
});
