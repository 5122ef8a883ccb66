/**
 * Measures this machine's speed in a child process: what native code does there, a crash or an endless loop, is to the
 * node no more than a measurement that did not come.
 */
import { spawn } from 'node:child_process';
import { constants, setPriority } from 'node:os';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { type MeasuredSpeed, readMeasuredSpeed } from '../../shared/nodeSpeed.js';
import type { Leftovers } from '../leftovers.js';
import { LineTail } from '../lineTail.js';

export interface BenchmarkOptions {
  /** Script of the child. */
  readonly entry: string;
  readonly threads: number;
  readonly gpuLayers: number;
  /** Free on this machine: the benchmark takes a part of it. */
  readonly availableBytes: number;
  /** Where the child is written down, so that it does not outlive its node. @default nowhere */
  readonly leftovers?: Pick<Leftovers, 'add' | 'remove'>;
  /** @default TIMES.speedLimitMs */
  readonly limitMs?: number;
}

export type BenchmarkResult =
  | { readonly speed: MeasuredSpeed }
  /** Why there is none, for people. */
  | { readonly problem: string };

/** What the benchmark takes beside its layers, and each of them, in bytes. */
const BESIDE_BYTES = 200e6;
const LAYER_BYTES = 71e6;
const MEMORY_SHARE = 0.25;
const MOST_LAYERS = 4;
/** Of its answer: more is none. */
const ANSWER_CHARACTERS = 4_096;

/** Ends within the limit, whatever the child does. */
export function runBenchmark(options: BenchmarkOptions, signal: AbortSignal): Promise<BenchmarkResult> {
  const { entry, threads, gpuLayers, availableBytes, leftovers, limitMs = TIMES.speedLimitMs } = options;
  const layers = Math.min(
    MOST_LAYERS,
    Math.floor((availableBytes * MEMORY_SHARE - BESIDE_BYTES) / LAYER_BYTES),
  );
  if (layers < 1) return Promise.resolve({ problem: 'there is too little free memory to measure it' });
  if (signal.aborted) return Promise.resolve({ problem: STOPPED });
  return new Promise((resolve) => {
    const order = JSON.stringify({ threads, gpuLayers, layers, budgetMs: TIMES.speedBudgetMs });
    const child = spawn(process.execPath, [entry, order], { stdio: ['ignore', 'pipe', 'pipe'] });
    let problem: string | null = null;
    let answer = '';
    const stderr = new LineTail(LIMITS.stderrTailLines, LIMITS.stderrLineCharacters, () => undefined);
    const kill = (why: string) => {
      problem ??= why;
      child.kill('SIGKILL');
      // The end of a process that the system holds fast may never be told.
      setTimeout(() => finish({ problem: why }), TIMES.stopKillMs).unref();
    };
    const timer = setTimeout(() => kill(`it did not end within ${limitMs} ms`), limitMs);
    const onAbort = () => kill(STOPPED);
    signal.addEventListener('abort', onAbort, { once: true });
    const finish = (result: BenchmarkResult) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      resolve(result);
    };
    child.on('error', (error) => finish({ problem: error.message }));
    child.on('spawn', () => {
      if (child.pid === undefined) return;
      yieldToOthers(child.pid);
      void leftovers?.add(child.pid);
    });
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      answer += text;
      if (answer.length > ANSWER_CHARACTERS) kill('its answer is none');
    });
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.on('close', (code, killed) => {
      if (child.pid !== undefined) leftovers?.remove(child.pid);
      const speed = problem === null && code === 0 ? readAnswer(answer) : null;
      if (speed !== null) return finish({ speed });
      const words = stderr.lines().at(-1) ?? 'its answer makes no sense';
      finish({ problem: problem ?? (code === 0 ? words : `${killed ?? `exit code ${code}`}: ${words}`) });
    });
  });
}

const STOPPED = 'the node stops';

/** Whatever people do on this machine goes first. */
function yieldToOthers(pid: number): void {
  try {
    setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // Where that is not allowed, or the child is gone already, nothing is lost.
  }
}

function readAnswer(text: string): MeasuredSpeed | null {
  try {
    return readMeasuredSpeed(JSON.parse(text));
  } catch {
    return null;
  }
}
