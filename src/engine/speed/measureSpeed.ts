/**
 * How fast this machine computes models, measured with the engine that computes them: bytes of weights a second that
 * decoding reads, and multiplications and additions a second of prefill. What else the machine does can only make a
 * step slower, so that the fastest of several counts. On a busy machine the threads of a step wait for each other most
 * of the time, and one alone may be faster than all of them: that is tried as well.
 */
import { fasterOf, type MeasuredSpeed, type NodeSpeed } from '../../shared/nodeSpeed.js';
import type { Engine } from '../contract.js';
import { native } from '../llama/binding/native.js';
import { LlamaEngine } from '../llama/llamaEngine.js';
import { loadShardModel } from '../llama/shard/loadShardModel.js';
import { SPEED_LAYER, SpeedSupply, speedModel } from './speedModel.js';

export interface SpeedOptions {
  readonly threads: number;
  /** 0 = the CPU computes. */
  readonly gpuLayers: number;
  /** Layers of the model that is timed, each of 71 MB. A model that caches hold measures the caches. */
  readonly layers: number;
  /** How long steps are repeated, in milliseconds; one of each kind is done in any case. */
  readonly budgetMs: number;
}

/** Rows of a prefill step: enough that reading the weights is not what takes the time. */
const PREFILL_ROWS = 128;
/** Of a first one, which tells how long the whole one would take. */
const TRIAL_ROWS = 16;
const DECODES_A_ROUND = 4;
/** Of the time, for one thread alone. */
const SINGLE_SHARE = 0.25;
const US_PER_MS = 1_000;

/** @throws {ShoalError} as loading and computing do */
export function measureSpeed(options: SpeedOptions): MeasuredSpeed {
  const together = measureWith(options);
  if (options.threads === 1) return together;
  const alone = measureWith({ ...options, threads: 1, budgetMs: options.budgetMs * SINGLE_SHARE });
  return { ...together, ...fasterOf(together, alone) };
}

function measureWith({ threads, gpuLayers, layers, budgetMs }: SpeedOptions): MeasuredSpeed {
  const library = native();
  const { model, free } = loadShardModel(library, speedModel(layers), new SpeedSupply(library), {
    gpuLayers,
  });
  const capacity = { batchRows: PREFILL_ROWS, outputRows: 1, sequences: 1, cells: 2 * PREFILL_ROWS };
  const options = { ...capacity, modelPath: '', threads, gpuLayers };
  const engine = new LlamaEngine(library, model, options, { shard: null, free });
  try {
    const startedMs = performance.now();
    const before = process.cpuUsage();
    const speed = repeat(engine, layers, budgetMs);
    const { user, system } = process.cpuUsage(before);
    // The threads of a step spin while they wait: on an idle machine each has a core all the time.
    const processorMs = (user + system) / US_PER_MS;
    const processorShare = Math.min(1, processorMs / (performance.now() - startedMs) / threads);
    return { ...speed, processorShare };
  } finally {
    engine.close();
  }
}

function repeat(engine: Engine, layers: number, budgetMs: number): NodeSpeed {
  const endMs = performance.now() + budgetMs;
  const trialMs = stepMs(engine, TRIAL_ROWS);
  const isSlow = (trialMs * PREFILL_ROWS) / TRIAL_ROWS > budgetMs;
  const rows = isSlow ? TRIAL_ROWS : PREFILL_ROWS;
  let decodeMs = Number.POSITIVE_INFINITY;
  let prefillMs = isSlow ? trialMs : Number.POSITIVE_INFINITY;
  do {
    for (let round = 0; round < DECODES_A_ROUND; round += 1) decodeMs = Math.min(decodeMs, stepMs(engine, 1));
    prefillMs = Math.min(prefillMs, stepMs(engine, rows));
  } while (performance.now() < endMs);
  return {
    memoryBytesPerSecond: (layers * SPEED_LAYER.readBytes * 1_000) / decodeMs,
    operationsPerSecond: (layers * SPEED_LAYER.operations * rows * 1_000) / prefillMs,
  };
}

/** One step of an empty sequence, in milliseconds. */
function stepMs(engine: Engine, rows: number): number {
  engine.truncate(0, 0);
  const input = {
    tokens: new Int32Array(rows).fill(1),
    hidden: null,
    positions: Int32Array.from({ length: rows }, (_, row) => row),
    sequences: new Int32Array(rows),
    outputs: Uint8Array.from({ length: rows }, (_, row) => (row === rows - 1 ? 1 : 0)),
  };
  const startedMs = performance.now();
  engine.step(input);
  return performance.now() - startedMs;
}
