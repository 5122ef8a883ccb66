/**
 * Measures node-llama-cpp: a plan as JSON on standard input, a measurement on standard output, both in the form of
 * bench/engine/parts.ts. Sequences of one context generate side by side, which node-llama-cpp batches by itself.
 */
import { readFileSync } from 'node:fs';
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';

const CELLS = 4096;
const BATCH_ROWS = 512;
const WARM_UP = 4;

const plan = JSON.parse(readFileSync(0, 'utf8'));
const llama = await getLlama({
  build: 'never',
  gpu: false,
  progressLogs: false,
  logLevel: LlamaLogLevel.error,
  maxThreads: plan.threads,
});
const started = performance.now();
const model = await llama.loadModel({ modelPath: plan.modelPath, gpuLayers: 0 });
let context = await createContext(1);
const loadMs = performance.now() - started;
await context.getSequence().evaluateWithoutGeneratingNewTokens(prompt(32));
await context.dispose();

const speeds = {};
for (const part of plan.parts) {
  const sequences = part.kind === 'decode' ? part.batch : 1;
  context = await createContext(sequences);
  speeds[part.name] = await (part.kind === 'decode' ? decodeSpeed(part) : prefillSpeed(part.tokens));
  // The largest context stays for the measurement of memory.
  if (part !== plan.parts.at(-1)) await context.dispose();
}
process.stdout.write(
  JSON.stringify({
    loadMs,
    speeds,
    residentBytes: process.memoryUsage.rss(),
    proportionalBytes: proportionalBytes(),
  }),
);
process.exit(0);

function createContext(sequences) {
  return model.createContext({
    contextSize: Math.floor(CELLS / sequences),
    batchSize: BATCH_ROWS,
    threads: plan.threads,
    sequences,
    flashAttention: true,
  });
}

async function decodeSpeed(part) {
  const marks = { reached: 0, start: 0 };
  const generate = async () => {
    const sequence = context.getSequence();
    let count = 0;
    for await (const _ of sequence.evaluate(prompt(part.context), { temperature: 0, yieldEogToken: true })) {
      count += 1;
      if (count === WARM_UP) {
        marks.reached += 1;
        if (marks.reached === part.batch) marks.start = performance.now();
      }
      if (count === WARM_UP + plan.decodeTokens) return;
    }
  };
  await Promise.all(Array.from({ length: part.batch }, generate));
  return (plan.decodeTokens * part.batch * 1000) / (performance.now() - marks.start);
}

async function prefillSpeed(tokens) {
  const sequence = context.getSequence();
  const input = prompt(tokens);
  const start = performance.now();
  await sequence.evaluateWithoutGeneratingNewTokens(input);
  return (tokens * 1000) / (performance.now() - start);
}

function prompt(length) {
  return Array.from({ length }, (_, index) => 10 + (index % 200));
}

function proportionalBytes() {
  if (process.platform !== 'linux') return null;
  const kibibytes = /^Pss:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/smaps_rollup', 'latin1'))?.[1];
  return kibibytes === undefined ? null : Number(kibibytes) * 1024;
}
