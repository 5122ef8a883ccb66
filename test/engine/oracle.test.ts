/** The same tokens as node-llama-cpp, which is llama.cpp through another binding, on the same file. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { packageRoot } from '../../src/shared/packageRoot.js';
import {
  argmax,
  compute,
  rowsOf,
  temporaryFolder,
  tinyModel,
  tinyShape,
  withEngine,
  writeModel,
} from './support.js';

const LIMIT_MS = 120_000;
const TOKENS = 40;
const PROMPTS = [
  [5, 250, 17, 99, 3, 120],
  [64],
  Array.from({ length: 100 }, (_, index) => (index * 37) % 200),
];

const oracle = join(packageRoot(), 'test', 'oracle');
const folder = temporaryFolder();
const files: { name: string; path: string }[] = (['llama', 'qwen2', 'qwen3'] as const).map(
  (architecture) => ({
    name: architecture,
    path: writeModel(folder, architecture, tinyModel(tinyShape(architecture, { layers: 4, seed: 3 }))),
  }),
);
const embedded = join(packageRoot(), 'models', 'shoal-guide.gguf');
if (existsSync(embedded)) files.push({ name: 'the embedded model', path: embedded });

function oracleTokens(modelPath: string): number[][] {
  assert.ok(
    existsSync(join(oracle, 'node_modules')),
    'test/oracle is not installed: run `npm ci --omit=optional --ignore-scripts` there, or `npm test`, which does',
  );
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(oracle, 'greedy.mjs')], {
    input: JSON.stringify({ modelPath, prompts: PROMPTS, tokens: TOKENS, flashAttention: true }),
    encoding: 'utf8',
    timeout: LIMIT_MS,
  });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as number[][];
}

for (const { name, path } of files) {
  it(`R62: greedy tokens equal node-llama-cpp's (${name})`, () => {
    const expected = oracleTokens(path);
    withEngine(path, { batchRows: 128, cells: 512 }, (engine) => {
      for (const [index, prompt] of PROMPTS.entries()) {
        const generated: number[] = [];
        let logits = compute(engine, rowsOf(prompt, index, 0, false).with(-1, lastRow(prompt, index)));
        for (let position = prompt.length; generated.length < TOKENS; position += 1) {
          generated.push(argmax(logits[0] as Float32Array));
          logits = compute(engine, rowsOf(generated.slice(-1), index, position));
        }
        assert.deepEqual(generated.slice(0, expected[index]?.length), expected[index]);
      }
    });
  });
}

function lastRow(prompt: readonly number[], sequence: number) {
  return { token: prompt.at(-1) as number, position: prompt.length - 1, sequence };
}
