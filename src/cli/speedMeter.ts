/** What the speed of this machine hangs on, and how it is measured. */
import { availableParallelism, cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import { LLAMA_VERSION } from '../engine/llama/binding/pins.js';
import type { Leftovers } from '../worker/leftovers.js';
import { NodeSpeedMeter } from '../worker/speed/nodeSpeed.js';
import { type BenchmarkResult, runBenchmark } from '../worker/speed/runBenchmark.js';
import { computeThreads } from './computeThreads.js';
import { readNodeMemory } from './nodeMemory.js';
import type { UpOptions } from './upOptions.js';

const BENCHMARK_ENTRY = fileURLToPath(new URL('../runner/measureSpeed.js', import.meta.url));

type ComputeOptions = Pick<UpOptions, 'threads' | 'gpuLayers'>;

/** Begins to measure with `start`. */
export function meterSpeed(
  options: ComputeOptions & Pick<UpOptions, 'home'>,
  leftovers: Leftovers,
  isIdle: () => boolean,
  log: Logger,
): NodeSpeedMeter {
  return new NodeSpeedMeter(
    {
      benchmark: (signal) => benchmarkHere(options, signal, leftovers),
      isIdle,
      onProblem: (problem) => log.warn(problem),
    },
    { home: options.home, machine: machineOf(options) },
  );
}

/** As models are computed here. */
export function benchmarkHere(
  options: ComputeOptions,
  signal: AbortSignal,
  leftovers?: Leftovers,
): Promise<BenchmarkResult> {
  const { gpuLayers } = options;
  const { availableBytes } = readNodeMemory();
  const order = { entry: BENCHMARK_ENTRY, threads: threadsOf(options), gpuLayers, availableBytes };
  return runBenchmark({ ...order, ...(leftovers === undefined ? {} : { leftovers }) }, signal);
}

/** A large model's. */
function threadsOf({ threads }: ComputeOptions): number {
  return threads ?? computeThreads(Number.POSITIVE_INFINITY);
}

function machineOf(options: ComputeOptions): string {
  const processor = cpus()[0]?.model.trim() ?? process.arch;
  const cores = `${availableParallelism()} cores, ${threadsOf(options)} threads`;
  return `${processor}, ${cores}, GPU ${options.gpuLayers > 0}, llama.cpp ${LLAMA_VERSION}`;
}
