/**
 * Does the native engine compute what it should on this very machine? A tiny model with known weights is loaded and
 * run, and its logits are compared with numbers that the double-precision reference in test/engine has given. It
 * catches a library that loads and miscalculates: a wrong struct layout, a CPU variant that does not fit, a broken
 * build.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeGguf } from '../../models/gguf/writer.js';
import { ShoalError } from '../../shared/errors.js';
import { openLlamaModel } from '../llama/open.js';
import { TINY_SHAPE, tinyModel } from './tinyModel.js';

export const SELF_TEST_TOKENS: readonly number[] = [3, 41, 7, 22, 60, 13];

/** The first logits after the last token, from the reference; test/engine/selfTest.test.ts computes them again. */
export const SELF_TEST_LOGITS: readonly number[] = [
  -0.69111, -0.836041, -1.062998, 0.342916, 0.856875, -0.731034, 0.365007, -0.854465, -1.021186, 0.666366,
  0.841566, -1.674318, -0.065376, 1.922936, -0.001825, 0.965574,
];

/** Rounding of the f16 KV cache and of flash attention; the logits spread over ±3. */
export const SELF_TEST_TOLERANCE = 0.01;

const CELLS = 64;

/**
 * @param threads of the tiny graphs. More than there are free cores take long here, because they wait for each other
 *   at every node. @default 1
 * @throws {ShoalError} `engine_unavailable` when the numbers are wrong, or when the library cannot be used at all
 */
export function selfTest(threads = 1): void {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-self-test-'));
  try {
    const modelPath = join(folder, 'tiny.gguf');
    writeGguf(modelPath, tinyModel(TINY_SHAPE));
    const worst = largestDifference(lastLogits(modelPath, threads));
    // Written so that NaN fails too.
    if (worst <= SELF_TEST_TOLERANCE) return;
    throw new ShoalError(
      'engine_unavailable',
      `The native engine miscalculates on this machine: a logit of the self-test is off by ${worst}, and ${SELF_TEST_TOLERANCE} is allowed.`,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** All tokens but the last as one chunk, then the last alone: prefill and decode take different kernels. */
function lastLogits(modelPath: string, threads: number): Float32Array {
  const rows = SELF_TEST_TOKENS.length;
  const { engine } = openLlamaModel({ modelPath, batchRows: rows, sequences: 1, cells: CELLS, threads });
  try {
    let logits = new Float32Array(0);
    for (const [from, end] of [
      [0, rows - 1],
      [rows - 1, rows],
    ] as const) {
      const result = engine.step({
        tokens: Int32Array.from(SELF_TEST_TOKENS.slice(from, end)),
        hidden: null,
        positions: Int32Array.from({ length: end - from }, (_, row) => from + row),
        sequences: new Int32Array(end - from),
        outputs: Uint8Array.from({ length: end - from }, (_, row) => (row === end - from - 1 ? 1 : 0)),
      });
      if (result.kind !== 'logits') {
        throw new ShoalError('engine_unavailable', `The self-test gave no logits but "${result.kind}".`);
      }
      logits = Float32Array.from(result.rows[0] ?? []);
    }
    return logits;
  } finally {
    engine.close();
  }
}

function largestDifference(logits: Float32Array): number {
  return Math.max(
    ...SELF_TEST_LOGITS.map((expected, token) => Math.abs((logits[token] ?? Number.NaN) - expected)),
  );
}
