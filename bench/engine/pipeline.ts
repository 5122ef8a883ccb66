/**
 * A whole model against the same model as two shards in processes of their own, one after the other on this machine:
 * `node dist/bench/engine/pipeline.js [q4_0,q8_0] [rounds] [threads]`. What a cut costs beside the network. They take turns; a
 * ratio is the median over the rounds. The processor time of all processes is measured too, because on a busy machine
 * two processes that take turns are given more of it than one that never sleeps. Linux only.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { median } from '../median.js';
import type { ChildPlan } from './pipelineChild.js';
import { encodeStep, readSteps, stepBytes, type WireStep } from './pipelineFrames.js';
import { type Format, randomModel, SHAPES } from './randomModel.js';

const CHILD = fileURLToPath(new URL('pipelineChild.js', import.meta.url));
const SHAPE = SHAPES['qwen3-0.6b'];
const MIDDLE = SHAPE.layers / 2;
const DECODE_TOKENS = 16;
const PREFILL_TOKENS = 512;
const MS_PER_TICK = 10;
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

/** By what was measured. */
type Speeds = Readonly<Record<string, number>>;

interface Taken {
  readonly tokens: number;
  readonly ms: number;
  /** Of all processes together. */
  readonly processorMs: number;
}

interface Pipeline {
  processorMs(): number;
  compute(step: WireStep): Promise<Float32Array>;
  stop(): Promise<void>;
}

process.stdout.write(
  `qwen3-0.6b, random weights, ${threads} threads, ${rounds} rounds; ${SHAPE.hiddenSize * 4} bytes between shards for each token (${stepBytes(1, SHAPE.hiddenSize)} with its frame)\n\n| format | measured | whole | two shards | ratio |\n|---|---|---|---|---|\n`,
);
for (const format of formats.split(',') as Format[]) {
  const modelPath = randomModel('qwen3-0.6b', format);
  const pairs: Record<keyof typeof SIDES, Speeds>[] = [];
  for (let round = 0; round < Number(rounds); round += 1) {
    if (round % 2 === 0)
      pairs.push({ whole: await measure(modelPath, 'whole'), cut: await measure(modelPath, 'cut') });
    else {
      const cut = await measure(modelPath, 'cut');
      pairs.push({ whole: await measure(modelPath, 'whole'), cut });
    }
  }
  for (const what of Object.keys(pairs[0]?.whole ?? {})) {
    const of = (side: keyof typeof SIDES) => pairs.map((pair) => pair[side][what] ?? Number.NaN);
    const [whole, cut] = [of('whole'), of('cut')];
    const ratio = median(cut.map((speed, round) => speed / (whole[round] ?? Number.NaN)));
    process.stdout.write(
      `| ${format} | ${what} | ${median(whole).toFixed(1)} | ${median(cut).toFixed(1)} | ${ratio.toFixed(2)} |\n`,
    );
  }
}

async function measure(modelPath: string, side: keyof typeof SIDES): Promise<Speeds> {
  const pipeline = start(SIDES[side].map((layers) => ({ modelPath, layers, threads, polling: 0 })));
  try {
    await prefill(pipeline);
    const speeds: Record<string, number> = {};
    for (const [part, run] of Object.entries(PARTS)) {
      const { tokens, ms, processorMs } = await run(pipeline);
      speeds[`${part}: tokens a second`] = (tokens * 1000) / ms;
      speeds[`${part}: tokens a second of processor time`] = (tokens * 1000) / processorMs;
    }
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
    processorMs: () => children.reduce((sum, { pid }) => sum + processorMs(pid ?? 0), 0),
    stop: async () => {
      waiting = null;
      first.stdin?.end();
      for (const child of children) if (child.exitCode === null) await once(child, 'exit');
    },
  };
}

async function decode(pipeline: Pipeline, batch: number): Promise<Taken> {
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
  return timed(pipeline, DECODE_TOKENS * batch, async () => {
    for (let count = 0; count < DECODE_TOKENS; count += 1) await step(warmUp + count);
  });
}

function prefill(pipeline: Pipeline): Promise<Taken> {
  return timed(pipeline, PREFILL_TOKENS, () =>
    pipeline.compute({
      positions: Int32Array.from({ length: PREFILL_TOKENS }, (_, row) => row),
      sequences: new Int32Array(PREFILL_TOKENS),
      outputs: Uint8Array.from({ length: PREFILL_TOKENS }, (_, row) => (row === PREFILL_TOKENS - 1 ? 1 : 0)),
      numbers: Float32Array.from({ length: PREFILL_TOKENS }, (_, row) => 10 + (row % 200)),
    }),
  );
}

async function timed(pipeline: Pipeline, tokens: number, run: () => Promise<unknown>): Promise<Taken> {
  const started = performance.now();
  const used = pipeline.processorMs();
  await run();
  return { tokens, ms: performance.now() - started, processorMs: pipeline.processorMs() - used };
}

/** User and system time of a process so far. */
function processorMs(pid: number): number {
  // The name of the process, in brackets, may hold anything.
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
}
