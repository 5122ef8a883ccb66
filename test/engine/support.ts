/** What the engine's tests share: tiny model files, and rows written as they are thought of. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import type { Engine, EngineOptions } from '../../src/engine/contract.js';
import { openLlamaModel } from '../../src/engine/llama/open.js';
import { TINY_SHAPE, type TinyModelShape, tinyModel } from '../../src/engine/selfTest/tinyModel.js';
import { type WritableGguf, writeGguf } from '../../src/models/gguf/writer.js';

/** A folder that is removed after the tests of this process. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-engine-test-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function writeModel(folder: string, name: string, model: WritableGguf): string {
  const path = join(folder, `${name}.gguf`);
  writeGguf(path, model);
  return path;
}

/** The sizes of most tests' models: no two of them equal, so that mixed-up dimensions show. */
export function tinyShape(
  architecture: TinyModelShape['architecture'],
  more: Partial<TinyModelShape> = {},
): TinyModelShape {
  // Qwen2 files have no key size of their own.
  const headSize = architecture === 'qwen2' ? TINY_SHAPE.hiddenSize / TINY_SHAPE.heads : TINY_SHAPE.headSize;
  return { ...TINY_SHAPE, architecture, headSize, ...more };
}

export const TEST_CAPACITY = { batchRows: 64, outputRows: 64, sequences: 4, cells: 256, threads: 1 } as const;

/** Opens, runs and closes, whatever happens. */
export function withEngine(
  modelPath: string,
  more: Partial<EngineOptions>,
  run: (engine: Engine) => void,
): void {
  const { engine } = openLlamaModel({ modelPath, ...TEST_CAPACITY, ...more });
  try {
    run(engine);
  } finally {
    engine.close();
  }
}

export { tinyModel };

export interface Row {
  readonly token: number;
  readonly position: number;
  readonly sequence: number;
  readonly output?: boolean;
}

/** Tokens of one sequence, one row each; every row asks for logits unless told otherwise. */
export function rowsOf(tokens: readonly number[], sequence = 0, from = 0, output = true): Row[] {
  return tokens.map((token, index) => ({ token, position: from + index, sequence, output }));
}

export function stepInput(rows: readonly Row[]) {
  return {
    tokens: Int32Array.from(rows, (row) => row.token),
    hidden: null,
    positions: Int32Array.from(rows, (row) => row.position),
    sequences: Int32Array.from(rows, (row) => row.sequence),
    outputs: Uint8Array.from(rows, (row) => (row.output === false ? 0 : 1)),
  };
}

/** Computes rows and copies their logits. */
export function compute(engine: Engine, rows: readonly Row[]): Float32Array[] {
  const result = engine.step(stepInput(rows));
  assert.equal(result.kind, 'logits');
  return result.kind === 'logits' ? result.rows.map((row) => Float32Array.from(row)) : [];
}

export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  assert.equal(a.length, b.length);
  let largest = 0;
  for (let i = 0; i < a.length; i += 1) {
    const difference = Math.abs((a[i] as number) - (b[i] as number));
    // NaN is larger than everything.
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}

export function argmax(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i += 1) if ((values[i] as number) > (values[best] as number)) best = i;
  return best;
}
