/**
 * Kills the runner in mid-stream, again and again, and measures until the client has its coded error, and until the
 * next request is answered. Beside it, `/health` is called all the time.
 *
 *   node dist/bench/recovery/run.js [rounds = 20]
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { NodeProcess } from '../../test/support/nodeProcess.js';
import { row, timeStream } from '../api/measure.js';

const MODEL = 'shoal-guide';
const ROUNDS = Number(process.argv[2] ?? 20);
const RETRY_MS = 20;
/** Fewer than the restarts in a row that a supervisor allows. */
const ROUNDS_PER_NODE = 5;

const errorMs: number[] = [];
const servedMs: number[] = [];
const healthMs: number[] = [];

async function round(node: NodeProcess): Promise<void> {
  const { pid } = await node.runner();
  if (pid === null) throw new Error('no runner');
  const body = {
    model: MODEL,
    messages: [{ role: 'user', content: 'Tell me a long story.' }],
    max_tokens: 1_500,
  };
  const streaming = timeStream(node.url, { ...body, ignore_eos: true }).then(
    () => Promise.reject(new Error('the stream ended without an error')),
    () => performance.now(),
  );
  await node.until('running', ({ tasks }) => Object.values(tasks).some(({ status }) => status === 'running'));
  await sleep(100);
  process.kill(pid, 'SIGKILL');
  const killed = performance.now();
  errorMs.push((await streaming) - killed);
  for (;;) {
    const served = await timeStream(node.url, { ...body, max_tokens: 1 }).then(
      () => true,
      () => false,
    );
    if (served) break;
    await sleep(RETRY_MS);
  }
  servedMs.push(performance.now() - killed);
}

async function watchHealth(node: NodeProcess, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const asked = performance.now();
    await (await fetch(`${node.url}/health`)).text();
    healthMs.push(performance.now() - asked);
    await sleep(5);
  }
}

let loopDelayMs = 0;
for (let done = 0; done < ROUNDS; done += ROUNDS_PER_NODE) {
  const node = await NodeProcess.start('--serve', MODEL);
  await node.ready();
  const watching = new AbortController();
  const health = watchHealth(node, watching.signal);
  for (let i = 0; i < Math.min(ROUNDS_PER_NODE, ROUNDS - done); i += 1) await round(node);
  watching.abort();
  await health;
  const metrics = await (await fetch(`${node.url}/metrics`)).text();
  loopDelayMs = Math.max(
    loopDelayMs,
    1000 * Number(/^shoal_event_loop_delay_max_seconds (\S+)/m.exec(metrics)?.[1]),
  );
  await node.stop();
}
console.log(`SIGKILL of the runner in mid-stream, ${ROUNDS} rounds, ${ROUNDS_PER_NODE} in a row\n`);
console.log('| ms | p50 | p99 | max |\n|---|---|---|---|');
console.log(row('kill to coded error at the client', errorMs));
console.log(row('kill to next request answered (backoff 2, 4, 8, 16, 32 s)', servedMs, 0));
console.log(row('/health meanwhile', healthMs));
console.log(`\nlongest delay of the node's event loop: ${loopDelayMs.toFixed(1)} ms`);
