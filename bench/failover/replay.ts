/**
 * How an answer that was cut goes on, when its known tokens are computed one by one as they were the first time, and when
 * they are computed in chunks like a prompt: how often the rest is the same, and how long the next token takes.
 *
 *   node dist/bench/failover/replay.js [tokens = 240]
 */
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { buildPrompt } from '../../src/runner/generation/prompt.js';
import { loadModel } from '../../src/runner/loadModel.js';
import { type ResolvedSampling, resolveSampling } from '../../src/runner/sampler/parameters.js';
import { Scheduler } from '../../src/runner/scheduler/scheduler.js';
import { WholeModel } from '../../src/runner/step/wholeModel.js';
import { RecordedAnswer } from '../../src/runner/testing/recordedAnswer.js';
import type { RunnerId } from '../../src/shared/ids.js';
import { ENGINE } from '../../src/shared/limits.js';
import { packageRoot } from '../../src/shared/packageRoot.js';
import { percentile } from '../api/measure.js';

const TOKENS = Number(process.argv[2] ?? 240);
const CUT_EVERY = 23;
const SUBJECTS = 'fox hedgehog otter owl bear mouse robot dragon king baker'.split(' ');
const CONTEXT_TOKENS = 1_024;
const SEQUENCES = 4;
const CELLS = 4_096;
const LIMIT_MS = 600_000;

const model = loadModel(
  {
    runnerId: 'bench' as RunnerId,
    modelPath: join(packageRoot(), 'models', 'shoal-guide.gguf'),
    contextTokens: CONTEXT_TOKENS,
    sequences: SEQUENCES,
    cacheCells: CELLS,
    prefillChunkTokens: ENGINE.prefillChunkTokens,
    threads: 1,
    gpuLayers: 0,
    part: null,
  },
  () => true,
);
const scheduler = new Scheduler(
  {
    machine: new WholeModel(model.engine),
    clock: () => performance.now(),
    peakMemoryBytes: () => 0,
  },
  {
    contextTokens: CONTEXT_TOKENS,
    sequences: SEQUENCES,
    prefillChunkTokens: ENGINE.prefillChunkTokens,
    queueRequests: 1,
    // Nothing is to be had from the cut answer itself.
    cacheEntries: 0,
    cacheWalks: 0,
    endTokens: model.tokenizer.endTokens,
  },
);

/** The tokens of an answer, and the milliseconds until the first that was not known. */
function answer(
  prompt: readonly number[],
  sampling: ResolvedSampling,
  maxTokens: number,
  known: readonly number[] = [],
): { readonly tokens: readonly number[]; readonly waitedMs: number } {
  const recorded = new RecordedAnswer(1);
  const tokens = recorded.tokens[0] as number[];
  const begun = performance.now();
  let waitedMs = 0;
  scheduler.submit({
    request: 1,
    prompt: Int32Array.from(prompt),
    sampling,
    maxTokens,
    ignoreEos: true,
    topLogprobs: null,
    choices: 1,
    resume: known.length === 0 ? null : [{ tokens: known, reason: null }],
    receivedAtMs: begun,
    deadlineMs: LIMIT_MS,
    answer: recorded,
  });
  while (!scheduler.isIdle) {
    scheduler.step();
    if (waitedMs === 0 && tokens.length > known.length) waitedMs = performance.now() - begun;
  }
  return { tokens, waitedMs };
}

const isSame = (left: readonly number[], right: readonly number[]) => String(left) === String(right);
const median = (list: readonly number[]) => percentile(list, 0.5).toFixed(0);

console.log(
  '| temperature | cuts | same, one by one | same, in chunks | next token, ms, one by one | in chunks |',
);
console.log('|---|---|---|---|---|---|');
for (const temperature of [0, 1]) {
  const counts = { cuts: 0, single: 0, chunked: 0 };
  const waits: { readonly single: number[]; readonly chunked: number[] } = { single: [], chunked: [] };
  for (const [index, subject] of SUBJECTS.entries()) {
    const content = `Tell me a story about a ${subject}.`;
    const input = { kind: 'chat', messages: [{ role: 'user', content }] } as const;
    const prompt = [...buildPrompt(input, model, CONTEXT_TOKENS, new Date()).tokens];
    const sampling = resolveSampling({ seed: index, temperature }, {}, model.tokenizer.vocabularySize);
    const whole = answer(prompt, sampling, TOKENS).tokens;
    for (let cut = CUT_EVERY; cut < TOKENS; cut += CUT_EVERY) {
      const known = whole.slice(0, cut);
      const single = answer(prompt, sampling, TOKENS, known);
      const chunked = answer([...prompt, ...known], sampling, TOKENS - cut);
      counts.cuts += 1;
      if (isSame(single.tokens, whole)) counts.single += 1;
      if (isSame([...known, ...chunked.tokens], whole)) counts.chunked += 1;
      waits.single.push(single.waitedMs);
      waits.chunked.push(chunked.waitedMs);
    }
  }
  const { cuts, single, chunked } = counts;
  console.log(
    `| ${temperature} | ${cuts} | ${single} | ${chunked} | ${median(waits.single)} | ${median(waits.chunked)} |`,
  );
}
model.engine.close();
