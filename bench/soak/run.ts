/**
 * Soak: thousands of requests of random sizes against a real node, a part of them cancelled by the client, by the
 * cancel route or by a deadline. At the end nothing may hang, every KV cell outside the prefix cache is free, and
 * memory is flat.
 *
 *   node dist/bench/soak/run.js [--requests 10000] [--concurrency 24] [--minutes 0] [--shape NAME] [--busy]
 *
 * With minutes it goes on until both are reached, which shows that full load is never mistaken for a freeze; with
 * `--busy` a second process spins beside it all the time. With `--shape` it serves a model of a real one's shape with
 * random weights (q4_0), a tenth of whose prompts have thousands of tokens.
 */
import { spawn } from 'node:child_process';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { TIMES } from '../../src/shared/limits.js';
import { NodeProcess } from '../../test/support/nodeProcess.js';
import { randomModel, type ShapeName } from '../engine/randomModel.js';

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '10000' },
    concurrency: { type: 'string', default: '24' },
    minutes: { type: 'string', default: '0' },
    shape: { type: 'string' },
    busy: { type: 'boolean', default: false },
  },
});
const REQUESTS = Number(values.requests);
const CONCURRENCY = Number(values.concurrency);
const LEAST_MS = Number(values.minutes) * 60_000;
const MODEL_PATH = values.shape === undefined ? null : randomModel(values.shape as ShapeName, 'q4_0');
const MODEL = MODEL_PATH === null ? 'shoal-guide' : basename(MODEL_PATH, '.gguf');
/** A random model's tokens are bytes: these are some 3,000 of them, of a context of 4,096. */
const LONG_PROMPT_WORDS = MODEL_PATH === null ? 400 : 600;
/** A node ends every request within its deadline. */
const REQUEST_LIMIT_MS = TIMES.requestDeadlineMs + 30_000;
const SAMPLES = 10;

type Fate = 'answered' | 'client left' | 'cancel route' | 'deadline' | 'refused';
const fates: Record<Fate, number> = {
  answered: 0,
  'client left': 0,
  'cancel route': 0,
  deadline: 0,
  refused: 0,
};
const unexpected: string[] = [];

/** A small generator with a seed, so that a run can be repeated. */
let seed = 1;
const random = (): number => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
  return seed / 2 ** 32;
};
const between = (least: number, most: number): number => least + Math.floor(random() * (most - least + 1));

const WORDS = 'fox boat shoal node model runner token story river stone bird cloud lamp door'.split(' ');

function body(): Record<string, unknown> {
  const words = Array.from(
    { length: between(1, random() < 0.1 ? LONG_PROMPT_WORDS : 40) },
    () => WORDS[between(0, 13)],
  );
  return {
    model: MODEL,
    messages: [{ role: 'user', content: words.join(' ') }],
    max_tokens: between(1, random() < 0.05 ? 200 : 24),
    temperature: random() < 0.5 ? 0 : 1,
    n: random() < 0.1 ? between(2, 4) : 1,
    // Node's `fetch` gives up after five minutes without a header, which a large model on a full machine may take.
    stream: MODEL_PATH !== null || random() < 0.7,
    ...(random() < 0.1 ? { stop: ['.'] } : {}),
    ...(random() < 0.1 ? { logprobs: true, top_logprobs: 3 } : {}),
  };
}

async function one(url: string): Promise<Fate> {
  const plan = random();
  const controller = new AbortController();
  const limit = AbortSignal.timeout(REQUEST_LIMIT_MS);
  const request: Record<string, unknown> = {
    ...body(),
    ...(plan > 0.97 ? { deadline_ms: between(1, 50) } : {}),
  };
  const leaveAfterChunks = plan < 0.1 ? between(0, 5) : Number.POSITIVE_INFINITY;
  try {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(request),
      signal: AbortSignal.any([controller.signal, limit]),
    });
    if (plan >= 0.1 && plan < 0.2) {
      await fetch(`${url}/v1/cancel/${response.headers.get('x-command-id')}`, { method: 'POST' });
    }
    let text = '';
    let chunks = 0;
    for await (const chunk of (response.body as ReadableStream<Uint8Array>).pipeThrough(
      new TextDecoderStream(),
    )) {
      text += chunk;
      chunks += 1;
      if (chunks > leaveAfterChunks) {
        controller.abort();
        return 'client left';
      }
    }
    return judge(response.status, text, request.stream === true);
  } catch (error) {
    if (controller.signal.aborted) return 'client left';
    unexpected.push(
      limit.aborted ? `hung for ${REQUEST_LIMIT_MS} ms` : `${error}: ${(error as Error).cause ?? ''}`,
    );
    return 'refused';
  }
}

function judge(status: number, text: string, streamed: boolean): Fate {
  if (text.includes('"code":"cancelled"')) return 'cancel route';
  if (text.includes('"code":"deadline_exceeded"')) return 'deadline';
  const isWhole = status === 200 && (streamed ? text.endsWith('data: [DONE]\n\n') : text.includes('"usage"'));
  if (isWhole && !text.includes('"error"')) return 'answered';
  unexpected.push(`${status}: ${text.slice(-300)}`);
  return 'refused';
}

const busy = values.busy ? spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }) : null;
const node = await NodeProcess.start('--serve', MODEL_PATH ?? MODEL);
await node.ready();
const samples: string[] = [];
let started = 0;
let nextSample = 0;

async function sample(): Promise<void> {
  const { load } = await node.runner();
  const metrics = await (await fetch(`${node.url}/metrics`)).text();
  const nodeBytes = Number(/^shoal_resident_memory_bytes (\S+)/m.exec(metrics)?.[1]);
  const mebibytes = (bytes: number) => (bytes / 2 ** 20).toFixed(0);
  samples.push(`| ${started} | ${mebibytes(load?.resident_bytes ?? 0)} | ${mebibytes(nodeBytes)} |`);
}

async function lane(): Promise<void> {
  while (started < REQUESTS || performance.now() - begun < LEAST_MS) {
    started += 1;
    const share = Math.min(started / REQUESTS, LEAST_MS === 0 ? 1 : (performance.now() - begun) / LEAST_MS);
    if (share >= nextSample) {
      nextSample += 1 / SAMPLES;
      await sample();
    }
    fates[await one(node.url)] += 1;
  }
}

const begun = performance.now();
await Promise.all(Array.from({ length: CONCURRENCY }, lane));
await sleep(1_000);
await sample();
const { runners, tasks } = await node.state();
const [runner] = Object.values(runners);
const load = runner?.load;
const stillRunning = Object.values(tasks).filter(({ status }) => status === 'running').length;
const leaked = load == null ? Number.NaN : load.used_cells - load.prefix_cache_cells;

console.log(
  `${started} requests, ${CONCURRENCY} at a time, ${((performance.now() - begun) / 1000).toFixed(0)} s`,
);
console.log(JSON.stringify(fates));
console.log('\n| requests | runner MiB | node MiB |\n|---|---|---|');
console.log(samples.join('\n'));
console.log(
  `\ntasks still running: ${stillRunning}; KV cells not free: ${leaked}; runner restarts: ${runner?.restarts}`,
);
for (const line of unexpected.slice(0, 10)) console.log(`UNEXPECTED ${line}`);
await node.stop();
busy?.kill('SIGKILL');
process.exit(unexpected.length === 0 && stillRunning === 0 && leaked === 0 && runner?.restarts === 0 ? 0 : 1);
