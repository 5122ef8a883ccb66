/**
 * Every fault of a runner in mid-stream, again and again: until the node knows, until the client has its coded error,
 * until the model is ready again, and how `/health`, `/state` and the node's event loop fare meanwhile. Each round has
 * a node of its own, so that the first restart is measured (backoff 1.5 to 2 s). Beside it stands what the operating
 * system takes by itself: how long the parent of an idle process of the runner's size waits for the end of it after
 * SIGKILL, and the longest delay of an idle event loop during the same time.
 *
 *   node dist/bench/supervision/run.js [rounds = 20] [fault …] [--shape qwen3-0.6b]
 */
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { NodeProcess } from '../../test/support/nodeProcess.js';
import { percentile, row, timeStream } from '../api/measure.js';
import { randomModel, type ShapeName } from '../engine/randomModel.js';
import { BareProcess } from './bareProcess.js';

const { values, positionals } = parseArgs({
  options: { shape: { type: 'string' } },
  allowPositionals: true,
});
const SERVED = values.shape === undefined ? 'shoal-guide' : randomModel(values.shape as ShapeName, 'q4_0');
const MODEL = basename(SERVED, '.gguf');
const ROUNDS = Number(positionals[0] ?? 20);
const STREAM_BEFORE_FAULT_MS = 150;
const BODY = {
  model: MODEL,
  messages: [{ role: 'user', content: 'Tell me a long story.' }],
  max_tokens: 1_500,
};

type Fault = (node: NodeProcess, pid: number) => Promise<unknown>;
const signal =
  (name: NodeJS.Signals): Fault =>
  async (_, pid) =>
    process.kill(pid, name);
const failpoint =
  (name: string): Fault =>
  (node) =>
    fetch(`${node.url}/debug/failpoints`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name }),
    });

const FAULTS: Record<string, Fault> = {
  SIGKILL: signal('SIGKILL'),
  SIGTERM: signal('SIGTERM'),
  SIGHUP: signal('SIGHUP'),
  SIGABRT: signal('SIGABRT'),
  SIGSEGV: signal('SIGSEGV'),
  'exit 0': failpoint('runner.exit0'),
  SIGSTOP: signal('SIGSTOP'),
  'compute thread hangs': failpoint('runner.freeze=compute'),
};

interface Times {
  readonly knownMs: number[];
  readonly clientMs: number[];
  readonly readyMs: number[];
}

const healthMs: number[] = [];
const stateMs: number[] = [];
const bareMs: number[] = [];
const residentMebibytes: number[] = [];
let loopDelayMs = 0;

/** Resolves when the node says on `/events` that its runner has failed. */
async function untilKnown(node: NodeProcess, leaving: AbortSignal): Promise<number> {
  const response = await fetch(`${node.url}/events`, { signal: leaving });
  const text = (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream());
  for await (const chunk of text) if (chunk.includes('"status":"failed"')) return performance.now();
  throw new Error('the events ended');
}

async function watch(url: string, times: number[], stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    const asked = performance.now();
    await (await fetch(url)).text();
    times.push(performance.now() - asked);
    await sleep(10);
  }
}

async function round(fault: Fault, times: Times): Promise<void> {
  const node = await NodeProcess.start('--serve', SERVED, '--failpoints', '--log-level', 'error');
  await node.ready();
  const { pid } = await node.runner();
  if (pid === null) throw new Error('no runner');
  const leaving = new AbortController();
  const known = untilKnown(node, leaving.signal);
  const watching = [
    watch(`${node.url}/health`, healthMs, leaving.signal),
    watch(`${node.url}/state`, stateMs, leaving.signal),
  ];
  const streaming = timeStream(node.url, { ...BODY, ignore_eos: true }).then(
    () => Promise.reject(new Error('the stream ended without an error')),
    () => performance.now(),
  );
  await node.until('running', ({ tasks }) => Object.values(tasks).some(({ status }) => status === 'running'));
  const residentBytes = (await node.runner()).load?.resident_bytes ?? 0;
  const bare = await BareProcess.start(residentBytes);
  residentMebibytes.push(residentBytes / 2 ** 20);
  bareMs.push(await bare.kill());
  await sleep(STREAM_BEFORE_FAULT_MS);
  const begun = performance.now();
  await fault(node, pid);
  times.clientMs.push((await streaming) - begun);
  times.knownMs.push((await known) - begun);
  await node.ready();
  times.readyMs.push(performance.now() - begun);
  leaving.abort();
  await Promise.all(watching);
  const metrics = await (await fetch(`${node.url}/metrics`)).text();
  loopDelayMs = Math.max(
    loopDelayMs,
    1000 * Number(/^shoal_event_loop_delay_max_seconds (\S+)/m.exec(metrics)?.[1]),
  );
  await node.stop();
}

const chosen = positionals.slice(1);
const idle = await BareProcess.start();
console.log(`${ROUNDS} rounds each; p50 / max in ms\n`);
console.log(
  '| fault in mid-stream | known to the node | coded error at the client | ready again |\n|---|---|---|---|',
);
for (const [name, fault] of Object.entries(FAULTS)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue;
  const times: Times = { knownMs: [], clientMs: [], readyMs: [] };
  for (let i = 0; i < ROUNDS; i += 1) await round(fault, times);
  const cells = [times.knownMs, times.clientMs, times.readyMs].map(
    (list) => `${percentile(list, 0.5).toFixed(0)} / ${percentile(list, 1).toFixed(0)}`,
  );
  console.log(`| ${name} | ${cells.join(' | ')} |`);
}
console.log(
  `\nKnown after SIGKILL to an idle process of ${percentile(residentMebibytes, 0.5).toFixed(0)} MiB, the size of the ` +
    `runner: ${percentile(bareMs, 0.5).toFixed(1)} / ${percentile(bareMs, 1).toFixed(1)} ms`,
);
console.log('\n| meanwhile, ms | p50 | p99 | max |\n|---|---|---|---|');
console.log(row('/health', healthMs));
console.log(row('/state', stateMs));
console.log(
  `\nlongest delay of a node's event loop: ${loopDelayMs.toFixed(1)} ms; of an idle process: ` +
    `${(await idle.longestDelayMs()).toFixed(1)} ms (both sampled every 10 ms, which is part of them)`,
);
await idle.kill();
