/**
 * A whole model with one thread against as many slices as are asked for with one thread each, which add up in memory that
 * they share: `node dist/bench/engine/slices.js [shapes: qwen3-0.6b,qwen3-1.7b] [formats: q4_0,q8_0] [rounds: 5] [slices: 2]`.
 * It needs a free core for each slice. They take turns in one process; a ratio is the median over the rounds. Beside it
 * stand the sums of a step, which a network would have to carry, and how long a rank was in them.
 */
import type { Engine } from '../../src/engine/contract.js';
import { openLlamaModel } from '../../src/engine/llama/open.js';
import { RankThreads } from '../../test/engine/slices/slicedEngine.js';
import { type Format, randomModel, type ShapeName } from './randomModel.js';

const DECODE_TOKENS = 16;
const PREFILL_TOKENS = 256;
const BATCH = 8;
const CAPACITY = { batchRows: PREFILL_TOKENS, sequences: BATCH, cells: 2048, threads: 1 } as const;
const [shapes = 'qwen3-0.6b,qwen3-1.7b', formats = 'q4_0,q8_0', rounds = '5', count = '2'] =
  process.argv.slice(2);
const worldSize = Number(count);

const PARTS: Readonly<Record<string, (engine: Engine) => number>> = {
  decode: (engine) => decode(engine, 1),
  [`decode, batch ${BATCH}`]: (engine) => decode(engine, BATCH),
  [`prefill ${PREFILL_TOKENS}`]: (engine) => {
    engine.truncate(0, 0);
    return (PREFILL_TOKENS * MS_PER_SECOND) / timed(() => step(engine, 1, 0, PREFILL_TOKENS));
  },
};
const MS_PER_SECOND = 1000;

const threads = new RankThreads(worldSize - 1);
process.stdout.write(
  `random weights, one thread a rank, ${rounds} rounds, ${worldSize} slices\n\n| model | measured | whole, tok/s | slices, tok/s | ratio | sums, ms a step |\n|---|---|---|---|---|---|\n`,
);
for (const shape of shapes.split(',') as ShapeName[]) {
  for (const format of formats.split(',') as Format[]) measure(shape, format);
}
await threads.end();

function measure(shape: ShapeName, format: Format): void {
  const options = { modelPath: randomModel(shape, format), ...CAPACITY };
  const { engine: whole } = openLlamaModel(options);
  const slices = threads.open(worldSize, options);
  try {
    for (const [what, part] of Object.entries(PARTS)) {
      const pairs = Array.from({ length: Number(rounds) }, () => {
        const before = slices.sumsMs;
        const speeds = { whole: part(whole), slices: part(slices) };
        return {
          ...speeds,
          sumsMs: (slices.sumsMs - before) / (what.startsWith('prefill') ? 1 : DECODE_TOKENS),
        };
      });
      const of = (value: (pair: (typeof pairs)[number]) => number): number => median(pairs.map(value));
      process.stdout.write(
        `| ${shape} ${format} | ${what} | ${of(({ whole }) => whole).toFixed(1)} | ${of(({ slices }) => slices).toFixed(1)} | ${of((pair) => pair.slices / pair.whole).toFixed(2)} | ${of(({ sumsMs }) => sumsMs).toFixed(2)} |\n`,
      );
    }
  } finally {
    slices.close();
    whole.close();
  }
}

/** Tokens a second of so many sequences together, each of which has a few tokens already. */
function decode(engine: Engine, sequences: number): number {
  for (let sequence = 0; sequence < sequences; sequence += 1) engine.truncate(sequence, 0);
  step(engine, sequences, 0, 4);
  const ms = timed(() => {
    for (let token = 0; token < DECODE_TOKENS; token += 1) step(engine, sequences, 4 + token, 1);
  });
  return (DECODE_TOKENS * sequences * MS_PER_SECOND) / ms;
}

/** As many rows of each sequence, the last of which asks for logits. */
function step(engine: Engine, sequences: number, from: number, rows: number): void {
  const all = sequences * rows;
  const { kind } = engine.step({
    tokens: Int32Array.from({ length: all }, (_, row) => (row * 7 + 3) % 200),
    hidden: null,
    positions: Int32Array.from({ length: all }, (_, row) => from + (row % rows)),
    sequences: Int32Array.from({ length: all }, (_, row) => Math.floor(row / rows)),
    outputs: Uint8Array.from({ length: all }, (_, row) => (row % rows === rows - 1 ? 1 : 0)),
  });
  if (kind !== 'logits') throw new Error(`a step ended as ${kind}`);
}

function timed(action: () => void): number {
  const started = performance.now();
  action();
  return performance.now() - started;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
