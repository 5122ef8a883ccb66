/**
 * The cost of the whole path, HTTP to runner and back, against the engine alone on the same model and threads; then
 * 100 streams at once, and how long running streams pause while a long prompt is prefilled.
 *
 *   node dist/bench/api/run.js [rounds = 200]
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ENGINE } from '../../src/shared/limits.js';
import { packageRoot } from '../../src/shared/packageRoot.js';
import { NodeProcess } from '../../test/support/nodeProcess.js';
import { percentile, row, timeStream } from './measure.js';

const MODEL = 'shoal-guide';
const MODEL_PATH = join(packageRoot(), 'models', `${MODEL}.gguf`);
const THREADS = 1;
const ROUNDS = Number(process.argv[2] ?? 200);
const BLOCKS = 5;
const STREAMS = 100;
const STREAM_TOKENS = 64;
const LONG_PROMPT_WORDS = 1_000;
const CONTEXT = 4_096;

interface Completion {
  readonly usage: { readonly prompt_tokens: number };
}

const post = (url: string, body: unknown) =>
  fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });

/** Milliseconds of whole requests, each with a prompt that no cache knows. */
async function timeRequests(
  node: NodeProcess,
  maxTokens: number,
  rounds: number,
): Promise<[number[], number]> {
  const times: number[] = [];
  let promptTokens = 0;
  for (let round = 0; round < rounds; round += 1) {
    const tokens = Array.from({ length: 32 }, (_, i) => 300 + ((round * 37 + i * 11 + Date.now()) % 1_000));
    const body = { model: MODEL, prompt: tokens, max_tokens: maxTokens, temperature: 0, ignore_eos: true };
    const started = performance.now();
    const answer = (await (await post(`${node.url}/v1/completions`, body)).json()) as Completion;
    times.push(performance.now() - started);
    promptTokens = answer.usage.prompt_tokens;
  }
  return [times, promptTokens];
}

function timeEngine(promptTokens: number, maxTokens: number, rounds: number): number[] {
  const script = fileURLToPath(new URL('./engineAlone.js', import.meta.url));
  const parameters = [MODEL_PATH, THREADS, promptTokens, maxTokens, rounds].map(String);
  const result = spawnSync(process.execPath, [script, ...parameters], { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(result.stderr);
  return JSON.parse(result.stdout) as number[];
}

/** Milliseconds of requests that ask for nothing: what client, HTTP and two processes take by themselves. */
async function timeHealth(node: NodeProcess, rounds: number): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const started = performance.now();
    await (await fetch(`${node.url}/health`)).text();
    times.push(performance.now() - started);
  }
  return times;
}

async function addedLatency(node: NodeProcess): Promise<void> {
  console.log('## Added latency\n\n| ms | p50 | p99 | max |\n|---|---|---|---|');
  console.log(row('HTTP alone: `/health`', await timeHealth(node, ROUNDS)));
  for (const maxTokens of [1, STREAM_TOKENS]) {
    const whole: number[] = [];
    const alone: number[] = [];
    await timeRequests(node, maxTokens, 20);
    for (let block = 0; block < BLOCKS; block += 1) {
      const [times, promptTokens] = await timeRequests(node, maxTokens, ROUNDS / BLOCKS);
      whole.push(...times);
      alone.push(...timeEngine(promptTokens, maxTokens, ROUNDS / BLOCKS));
    }
    console.log(row(`${maxTokens} token(s): whole path`, whole));
    console.log(row(`${maxTokens} token(s): engine alone`, alone));
    const added = [0.5, 0.99].map((share) =>
      (percentile(whole, share) - percentile(alone, share)).toFixed(2),
    );
    console.log(`| ${maxTokens} token(s): **added** | **${added[0]}** | **${added[1]}** | |`);
  }
}

async function metric(node: NodeProcess, name: string): Promise<number> {
  const text = await (await fetch(`${node.url}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)?.[1]);
}

async function manyStreams(node: NodeProcess): Promise<void> {
  const started = performance.now();
  const streams = await Promise.all(
    Array.from({ length: STREAMS }, (_, i) => {
      const messages = [{ role: 'user', content: `Tell me story number ${i}.` }];
      return timeStream(node.url, { model: MODEL, messages, max_tokens: STREAM_TOKENS, ignore_eos: true });
    }),
  );
  const seconds = (performance.now() - started) / 1000;
  const gaps = streams.flatMap(({ chunksMs }) =>
    chunksMs.slice(1).map((ms, i) => ms - (chunksMs[i] as number)),
  );
  console.log(`\n## ${STREAMS} streams at once, ${STREAM_TOKENS} tokens each\n`);
  console.log('| ms | p50 | p99 | max |\n|---|---|---|---|');
  console.log(
    row(
      'first text',
      streams.map(({ chunksMs }) => chunksMs[0] ?? Number.NaN),
      0,
    ),
  );
  console.log(row('between two chunks', gaps, 1));
  const p99 = (1000 * (await metric(node, 'shoal_event_loop_delay_p99_seconds'))).toFixed(1);
  const max = (1000 * (await metric(node, 'shoal_event_loop_delay_max_seconds'))).toFixed(1);
  const nodeBytes = await metric(node, 'shoal_resident_memory_bytes');
  console.log(
    `\n${((STREAMS * STREAM_TOKENS) / seconds).toFixed(0)} tokens/s in all; event loop of the node: p99 ${p99} ms, `,
  );
  console.log(`max ${max} ms (sampled every 10 ms); node memory ${(nodeBytes / 2 ** 20).toFixed(0)} MiB`);
}

/** Streams run; a prompt of about 2,000 tokens comes; the longest pause of each stream during its prefill counts. */
async function prefillStall(node: NodeProcess): Promise<void> {
  const pauses: number[] = [];
  const usual: number[] = [];
  const chunks: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    const messages = [{ role: 'user', content: 'Tell me a long story.' }];
    const body = { model: MODEL, messages, max_tokens: 1_000, ignore_eos: true, temperature: 0.5 };
    const origin = performance.now();
    const running = Array.from({ length: 4 }, () => timeStream(node.url, body));
    await new Promise((resolve) => setTimeout(resolve, 400));
    const words = Array.from({ length: LONG_PROMPT_WORDS }, (_, i) => `${'abcdefgh'[i % 8]}${round}`);
    const before = performance.now() - origin;
    const long = { ...body, messages: [{ role: 'user', content: words.join(' ') }], max_tokens: 1 };
    const answer = (await (await post(`${node.url}/bench/chat/completions`, long)).json()) as {
      generation_stats: { prompt_tokens: number; time_to_first_token_ms: number };
    };
    const after = performance.now() - origin;
    const { prompt_tokens: tokens, time_to_first_token_ms: firstMs } = answer.generation_stats;
    chunks.push(firstMs / Math.ceil(tokens / ENGINE.prefillChunkTokens));
    for (const { chunksMs } of await Promise.all(running)) {
      const gaps = chunksMs.slice(1).map((at, i) => ({ at, gap: at - (chunksMs[i] as number) }));
      const during = gaps.filter(({ at }) => at > before && at < after + 50).map(({ gap }) => gap);
      pauses.push(Math.max(0, ...during));
      usual.push(
        percentile(
          gaps.filter(({ at }) => at < before).map(({ gap }) => gap),
          0.5,
        ),
      );
    }
    console.error(`prompt of ${tokens} tokens: first token after ${firstMs.toFixed(0)} ms`);
  }
  console.log(
    `\n## Running streams while a long prompt is prefilled\n\n| ms | p50 | p99 | max |\n|---|---|---|---|`,
  );
  console.log(row('between two chunks before', usual, 1));
  console.log(row(`prefill, for each chunk of ${ENGINE.prefillChunkTokens} tokens`, chunks, 1));
  console.log(row('longest pause of a running stream', pauses, 1));
}

const node = await NodeProcess.start(
  '--serve',
  MODEL,
  '--threads',
  String(THREADS),
  '--context',
  String(CONTEXT),
);
await node.ready();
await addedLatency(node);
await manyStreams(node);
await prefillStall(node);
await node.stop();
