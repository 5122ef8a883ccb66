/**
 * What every engine must do: sequences that share a batch and a cache, and stay independent of each other. Of the whole
 * model, and of one, two and four tensor slices.
 */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import type { Engine, EngineOptions } from '../../src/engine/contract.js';
import { ShoalError } from '../../src/shared/errors.js';
import { referenceLogits } from './reference.js';
import { RankThreads } from './slices/slicedEngine.js';
import {
  compute,
  largestDifference,
  type Row,
  rowsOf,
  stepInput,
  TEST_CAPACITY,
  temporaryFolder,
  tinyModel,
  tinyShape,
  withEngine as withWholeModel,
  writeModel,
} from './support.js';

const TOLERANCE = 1e-5;
/** Flash attention sums values in f16. */
const ROUNDING_OF_F16 = 0.01;
const shape = tinyShape('llama', { heads: 8, kvHeads: 4 });
const model = tinyModel(shape);
const path = writeModel(temporaryFolder(), 'compliance', model);
const exact = { exactAttention: true };

const A = [5, 250, 17, 99, 3, 120];
const B = [64, 2, 201, 33];
const C = [8, 8, 8, 30, 31, 32, 33, 200];

/** Logits of the last token of a whole sequence. */
function expectedAfter(tokens: readonly number[]): Float64Array {
  return referenceLogits(shape, model.tensors, tokens).at(-1) as Float64Array;
}

function assertEqualsReference(logits: Float32Array | undefined, tokens: readonly number[]): void {
  assert.ok(logits !== undefined);
  assert.ok(largestDifference(logits, expectedAfter(tokens)) <= TOLERANCE);
}

type WithEngine = typeof withWholeModel;

const threads = new RankThreads(3);
after(() => threads.end());

const withSlices =
  (worldSize: number): WithEngine =>
  (modelPath, more: Partial<EngineOptions>, run) => {
    const engine = threads.open(worldSize, { modelPath, ...TEST_CAPACITY, ...more });
    try {
      run(engine);
    } finally {
      engine.close();
    }
  };

const ENGINES: readonly (readonly [name: string, withEngine: WithEngine])[] = [
  ['the whole model', withWholeModel],
  ...[1, 2, 4].map((count) => [`slices: ${count}`, withSlices(count)] as const),
];

for (const [name, withEngine] of ENGINES) {
  describe(name, () => {
    describe('sequences in one batch', () => {
      it('R64: decodes and a prefill chunk of another sequence share a step', () => {
        withEngine(path, exact, (engine) => {
          compute(engine, [...rowsOf(A.slice(0, -1), 0), ...rowsOf(B.slice(0, -1), 1)]);
          const logits = compute(engine, [
            ...rowsOf(A.slice(-1), 0, A.length - 1),
            ...rowsOf(C.slice(0, -1), 2, 0, false),
            ...rowsOf(B.slice(-1), 1, B.length - 1),
          ]);
          assert.equal(logits.length, 2);
          assertEqualsReference(logits[0], A);
          assertEqualsReference(logits[1], B);
          assertEqualsReference(compute(engine, rowsOf(C.slice(-1), 2, C.length - 1))[0], C);
        });
      });

      it('R64: rows of several sequences may be interleaved', () => {
        withEngine(path, exact, (engine) => {
          const rows: Row[] = B.flatMap((token, position) => [
            { token, position, sequence: 3 },
            { token: A[position] as number, position, sequence: 1 },
          ]);
          const logits = compute(engine, rows);
          assertEqualsReference(logits.at(-2), B);
          assertEqualsReference(logits.at(-1), A.slice(0, B.length));
        });
      });

      /** Logits of A and of five tokens that follow it, one by one; `between` runs before each of these. */
      const follow = (between: (engine: Engine, position: number) => void): Float32Array[] => {
        const seen: Float32Array[] = [];
        withEngine(path, {}, (engine) => {
          seen.push(...compute(engine, rowsOf(A, 0)));
          for (let position = A.length; position < A.length + 5; position += 1) {
            between(engine, position);
            seen.push(...compute(engine, rowsOf([position], 0, position)));
          }
        });
        return seen;
      };

      it('R63, R66: neighbours that come, are cut or are cancelled leave every bit of a sequence alone', () => {
        const alone = follow(() => undefined);
        const disturbed = follow((engine, position) => {
          if (position === A.length) {
            compute(engine, rowsOf(B, 1));
            engine.copyPrefix(1, 2, 2);
            engine.truncate(1, 3);
          }
          if (position === A.length + 2) compute(engine, rowsOf(C, 3));
          if (position === A.length + 3)
            assert.throws(() => compute(engine, rowsOf([1], 3, 99)), isEngineError);
        });
        assert.deepEqual(disturbed, alone);
      });

      it('R63: where freed cells are used again, and sums run in another order, only rounding differs', () => {
        const alone = follow(() => undefined);
        const disturbed = follow((engine, position) => {
          engine.truncate(1, 0);
          compute(engine, rowsOf(position % 2 === 0 ? B : C, 1));
          if (position === A.length) compute(engine, rowsOf(C, 2));
          if (position === A.length + 2) engine.truncate(2, 0);
        });
        for (const [row, logits] of disturbed.entries()) {
          assert.ok(largestDifference(logits, alone[row] as Float32Array) <= ROUNDING_OF_F16);
        }
      });
    });

    describe('the cache', () => {
      it('R65: a copied prefix is continued as if it had been computed', () => {
        withEngine(path, exact, (engine) => {
          compute(engine, rowsOf(A, 0));
          engine.copyPrefix(0, 1, 3);
          const continued = [...A.slice(0, 3), 44, 45];
          assertEqualsReference(compute(engine, rowsOf([44, 45], 1, 3)).at(-1), continued);
          // The source goes on undisturbed, and its end does not take the shared cells away.
          assertEqualsReference(compute(engine, rowsOf([12], 0, A.length))[0], [...A, 12]);
          assert.equal(engine.truncate(0, 0), true);
          assertEqualsReference(compute(engine, rowsOf([46], 1, 5))[0], [...continued, 46]);
        });
      });

      it('R65: a truncated sequence is continued from where it was cut', () => {
        withEngine(path, exact, (engine) => {
          compute(engine, rowsOf(C, 0));
          assert.equal(engine.canTruncate, true);
          assert.equal(engine.truncate(0, 4), true);
          assertEqualsReference(compute(engine, rowsOf([77], 0, 4))[0], [...C.slice(0, 4), 77]);
          assert.equal(engine.truncate(0, 0), true);
          assertEqualsReference(compute(engine, rowsOf(B, 0)).at(-1), B);
        });
      });

      it('R36: a full cache is `no_room`, changes nothing, and room comes back', () => {
        withEngine(path, { ...exact, cells: 12 }, (engine) => {
          compute(engine, rowsOf(A, 0));
          compute(engine, rowsOf(B, 1));
          assert.deepEqual(engine.step(stepInput(rowsOf(C, 2))), { kind: 'no_room' });
          assertEqualsReference(compute(engine, rowsOf([12], 0, A.length))[0], [...A, 12]);
          engine.truncate(1, 0);
          // Shared cells count once: all of sequence 0 is copied although only five cells are free.
          engine.copyPrefix(0, 1, A.length + 1);
          assertEqualsReference(compute(engine, rowsOf([13], 1, A.length + 1))[0], [...A, 12, 13]);
          engine.truncate(0, 0);
          engine.truncate(1, 0);
          assertEqualsReference(compute(engine, rowsOf(C, 2)).at(-1), C);
        });
      });

      it('R64: ten thousand cells come and go, and none is lost', () => {
        withEngine(path, { cells: 32 }, (engine) => {
          for (let round = 0; round < 400; round += 1) {
            const sequence = round % TEST_CAPACITY.sequences;
            engine.truncate(sequence, 0);
            compute(engine, rowsOf(C, sequence));
          }
          for (let sequence = 0; sequence < TEST_CAPACITY.sequences; sequence += 1)
            engine.truncate(sequence, 0);
          assert.equal(engine.step(stepInput(rowsOf([...C, ...C, ...C, ...C], 0))).kind, 'logits');
          assert.equal(engine.step(stepInput(rowsOf([1], 1))).kind, 'no_room');
        });
      });
    });

    describe('bad indices', () => {
      const bad: readonly (readonly [what: string, rows: readonly Row[]])[] = [
        ['no rows', []],
        ['more rows than a step has', rowsOf(new Array(TEST_CAPACITY.batchRows + 1).fill(1))],
        ['a negative token', rowsOf([-1])],
        ['a token past the vocabulary', rowsOf([shape.vocabularySize])],
        ['a negative sequence', rowsOf([1], -1)],
        ['a sequence past the last slot', rowsOf([1], TEST_CAPACITY.sequences)],
        ['a sequence far past the last slot', rowsOf([1], 2 ** 30)],
        ['a position that leaves a gap', rowsOf([1], 0, 1)],
        ['a negative position', rowsOf([1], 0, -1)],
        ['a position twice', [...rowsOf([1]), ...rowsOf([1])]],
        ['positions in falling order', rowsOf([1, 2]).reverse()],
      ];
      for (const [what, rows] of bad) {
        it(`R66: ${what} is refused, and the engine goes on`, () => {
          withEngine(path, exact, (engine) => {
            assert.throws(() => engine.step(stepInput(rows)), isEngineError);
            assertEqualsReference(compute(engine, rowsOf(A, 0)).at(-1), A);
          });
        });
      }

      it('R66: a step of arrays that differ in length, of hidden states, or with too many outputs is refused', () => {
        withEngine(path, { outputRows: 2, sequences: 2 }, (engine) => {
          const input = stepInput(rowsOf([1, 2], 0));
          assert.throws(() => engine.step({ ...input, positions: Int32Array.of(0) }), isEngineError);
          assert.throws(() => engine.step({ ...input, sequences: Int32Array.of(0) }), isEngineError);
          assert.throws(() => engine.step({ ...input, outputs: Uint8Array.of(0) }), isEngineError);
          assert.throws(() => engine.step({ ...input, tokens: null }), isEngineError);
          assert.throws(() => engine.step({ ...input, hidden: new Float32Array(64) }), isEngineError);
          assert.throws(() => engine.step(stepInput(rowsOf([1, 2, 3]))), isEngineError);
        });
      });

      it('R66: copies and cuts outside of what a sequence has are refused', () => {
        withEngine(path, {}, (engine) => {
          compute(engine, rowsOf(A, 0));
          compute(engine, rowsOf(B, 1));
          const calls: (() => unknown)[] = [
            () => engine.copyPrefix(0, 1, 1),
            () => engine.copyPrefix(0, 2, A.length + 1),
            () => engine.copyPrefix(0, 2, -1),
            () => engine.copyPrefix(0, 2, 0.5),
            () => engine.copyPrefix(0, TEST_CAPACITY.sequences, 1),
            () => engine.copyPrefix(-1, 2, 1),
            () => engine.truncate(0, A.length + 1),
            () => engine.truncate(0, -1),
            () => engine.truncate(0, Number.NaN),
            () => engine.truncate(99, 0),
          ];
          for (const call of calls) assert.throws(call, isEngineError);
        });
      });

      it('R42: a closed engine is refused, and may be closed twice', () => {
        withEngine(path, {}, (engine) => {
          engine.close();
          engine.close();
          assert.throws(() => compute(engine, rowsOf(A)), isEngineError);
          assert.throws(() => engine.truncate(0, 0), isEngineError);
          assert.throws(() => engine.copyPrefix(0, 1, 0), isEngineError);
        });
      });
    });
  });
}

function isEngineError(error: unknown): boolean {
  return error instanceof ShoalError && error.code === 'engine_error';
}
