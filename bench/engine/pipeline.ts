/**
 * A whole model against the same model as two shards in processes of their own, one after the other on this machine:
 * `node dist/bench/engine/pipeline.js [q4_0,q8_0] [rounds] [threads]`. What a cut costs beside the network. They take turns; a
 * ratio is the median over the rounds.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { ChildPlan } from './pipelineChild.js';
import { encodeStep, readSteps, stepBytes, type WireStep } from './pipelineFrames.js';
import { type Format, randomModel, SHAPES } from './randomModel.js';

const CHILD = fileURLToPath(new URL('pipelineChild.js', import.meta.url));
const SHAPE = SHAPES['qwen3-0.6b'];
const MIDDLE = SHAPE.layers / 2;
const DECODE_TOKENS = 16;
const PREFILL_TOKENS = 512;
const [formats = 'q4_0,q8_0', rounds = '3', threadCount = String(availableParallelism())] =
  process.argv.slice(2);
const threads = Number(threadCount);

/** Whole and cut; threads that sleep while the other shard computes, because both have the same cores. */
const SIDES = {
  whole: [null],
  cut: [
    { first: 0, end: MIDDLE },
    { first: MIDDLE, end: SHAPE.layers },
  ],
} as const;

const PARTS = {
  decode: (pipeline: Pipeline) => decode(pipeline, 1),
  'decode, batch 8': (pipeline: Pipeline) => decode(pipeline, 8),
  'prefill 512': prefill,
} as const;

interface Pipeline {
  compute(step: WireStep): Promise<Float32Array>;
  stop(): Promise<void>;
}

process.stdout.write(
  `qwen3-0.6b, random weights, ${threads} threads, ${rounds} rounds; ${SHAPE.hiddenSize * 4} bytes between shards for each token (${stepBytes(1, SHAPE.hiddenSize)} with its frame)\n\n| format | measured | whole | two shards | ratio |\n|---|---|---|---|---|\n`,
);
for (const format of formats.split(',') as Format[]) {
  const modelPath = randomModel('qwen3-0.6b', format);
  const results: Record<keyof typeof PARTS, { whole: number; cut: number }[]> = {
    decode: [],
    'decode, batch 8': [],
    'prefill 512': [],
  };
  for (let round = 0; round < Number(rounds); round += 1) {
    const speeds: Partial<Record<keyof typeof SIDES, Record<string, number>>> = {};
    for (const side of round % 2 === 0 ? (['whole', 'cut'] as const) : (['cut', 'whole'] as const)) {
      speeds[side] = await measure(modelPath, side);
    }
    for (const part of Object.keys(PARTS) as (keyof typeof PARTS)[]) {
      results[part].push({ whole: speeds.whole?.[part] ?? 0, cut: speeds.cut?.[part] ?? 0 });
    }
  }
  for (const [part, pairs] of Object.entries(results)) {
    const whole = median(pairs.map((pair) => pair.whole));
    const cut = median(pairs.map((pair) => pair.cut));
    const ratio = median(pairs.map((pair) => pair.cut / pair.whole));
    process.stdout.write(
      `| ${format} | ${part} | ${whole.toFixed(1)} tok/s | ${cut.toFixed(1)} tok/s | ${ratio.toFixed(2)} |\n`,
    );
  }
}

async function measure(modelPath: string, side: keyof typeof SIDES): Promise<Record<string, number>> {
  const pipeline = start(SIDES[side].map((layers) => ({ modelPath, layers, threads, polling: 0 })));
  try {
    await prefill(pipeline);
    const speeds: Record<string, number> = {};
    for (const [part, run] of Object.entries(PARTS)) speeds[part] = await run(pipeline);
    return speeds;
  } finally {
    await pipeline.stop();
  }
}

function start(plans: readonly ChildPlan[]): Pipeline {
  const children: ChildProcess[] = plans.map((plan) =>
    spawn(process.execPath, [CHILD, JSON.stringify(plan)], { stdio: ['pipe', 'pipe', 'inherit'] }),
  );
  for (const [index, child] of children.entries()) {
    const next = children[index + 1]?.stdin;
    if (next) child.stdout?.pipe(next);
  }
  const first = children[0] as ChildProcess;
  const last = children.at(-1) as ChildProcess;
  let waiting: { resolve(tokens: Float32Array): void; reject(error: Error): void } | null = null;
  if (last.stdout !== null) readSteps(last.stdout, ({ numbers }) => waiting?.resolve(numbers));
  for (const child of children)
    child.once('exit', (code) => waiting?.reject(new Error(`a shard ended: ${code}`)));
  return {
    compute: (step) =>
      new Promise((resolve, reject) => {
        waiting = { resolve, reject };
        first.stdin?.write(encodeStep(step));
      }),
    stop: async () => {
      waiting = null;
      first.stdin?.end();
      for (const child of children) if (child.exitCode === null) await once(child, 'exit');
    },
  };
}

/** @returns tokens a second */
async function decode(pipeline: Pipeline, batch: number): Promise<number> {
  const sequences = Int32Array.from({ length: batch }, (_, sequence) => sequence);
  let tokens = new Float32Array(batch).fill(7);
  const step = async (position: number): Promise<void> => {
    tokens = Float32Array.from(
      await pipeline.compute({
        positions: new Int32Array(batch).fill(position),
        sequences,
        outputs: new Uint8Array(batch).fill(1),
        numbers: tokens,
      }),
    );
  };
  const warmUp = 4;
  for (let position = 0; position < warmUp; position += 1) await step(position);
  const started = performance.now();
  for (let count = 0; count < DECODE_TOKENS; count += 1) await step(warmUp + count);
  return (DECODE_TOKENS * batch * 1000) / (performance.now() - started);
}

/** @returns tokens a second */
async function prefill(pipeline: Pipeline): Promise<number> {
  const started = performance.now();
  await pipeline.compute({
    positions: Int32Array.from({ length: PREFILL_TOKENS }, (_, row) => row),
    sequences: new Int32Array(PREFILL_TOKENS),
    outputs: Uint8Array.from({ length: PREFILL_TOKENS }, (_, row) => (row === PREFILL_TOKENS - 1 ? 1 : 0)),
    numbers: Float32Array.from({ length: PREFILL_TOKENS }, (_, row) => 10 + (row % 200)),
  });
  return (PREFILL_TOKENS * 1000) / (performance.now() - started);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
