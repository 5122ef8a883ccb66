/** `shoal bench`: measures a served model through the API, with the statistics of the runner itself. */

import { formatBytes } from '../shared/bytes.js';
import { type ApiTarget, callJson } from './client.js';
import { formatTable } from './output.js';

export interface BenchOptions {
  readonly promptTokens: number;
  readonly maxTokens: number;
  readonly concurrency: number;
  readonly rounds: number;
}

interface BenchAnswer {
  readonly generation_stats: {
    readonly prompt_tokens: number;
    readonly generation_tokens: number;
    readonly prompt_tps: number;
    readonly generation_tps: number;
    readonly time_to_first_token_ms: number;
    readonly peak_memory_bytes: number;
  };
}

/** A common English word is about one token. */
const WORDS = ['the', 'boat', 'and', 'sea', 'fish', 'wind', 'sun', 'sand'];

export async function bench(
  model: string,
  options: ApiTarget & BenchOptions & { readonly json: boolean },
): Promise<void> {
  const { promptTokens, maxTokens, concurrency, rounds } = options;
  const failed = new AbortController();
  const results: BenchAnswer['generation_stats'][] = [];
  const started = performance.now();
  for (let round = 0; round < rounds; round += 1) {
    const streams = Array.from({ length: concurrency }, (_, stream) => {
      // A first word of its own, so that no stream finds its prompt in the prefix cache.
      const content = `${round}-${stream}-${Date.now()} ${prompt(promptTokens)}`;
      const messages = [{ role: 'user', content }];
      const body = { model, messages, max_tokens: maxTokens, ignore_eos: true, temperature: 0 };
      return callJson<BenchAnswer>(options, '/bench/chat/completions', body, failed.signal);
    });
    try {
      results.push(...(await Promise.all(streams)).map((answer) => answer.generation_stats));
    } catch (error) {
      // The others would be computed to their ends for nobody.
      failed.abort();
      throw error;
    }
  }
  const seconds = (performance.now() - started) / 1000;
  const generated = results.reduce((sum, stats) => sum + stats.generation_tokens, 0);
  const summary = {
    model,
    streams: concurrency,
    rounds,
    prompt_tokens: median(results.map((stats) => stats.prompt_tokens)),
    prompt_tps: median(results.map((stats) => stats.prompt_tps)),
    generation_tps: median(results.map((stats) => stats.generation_tps)),
    time_to_first_token_ms: median(results.map((stats) => stats.time_to_first_token_ms)),
    total_generation_tps: generated / seconds,
    peak_memory_bytes: Math.max(...results.map((stats) => stats.peak_memory_bytes)),
  };
  if (options.json) {
    process.stdout.write(`${JSON.stringify(summary, null, 2)}\n`);
    return;
  }
  const rows = [
    ['prompt', `${summary.prompt_tokens} tokens`],
    ['prefill', `${summary.prompt_tps.toFixed(1)} tokens/s`],
    ['first token', `${summary.time_to_first_token_ms.toFixed(1)} ms`],
    ['decode, one stream', `${summary.generation_tps.toFixed(1)} tokens/s`],
    [`all, with ${concurrency} streams`, `${summary.total_generation_tps.toFixed(1)} tokens/s`],
    ['peak memory', formatBytes(summary.peak_memory_bytes)],
  ];
  process.stdout.write(`${formatTable([model, 'median'], rows)}\n`);
}

function prompt(tokens: number): string {
  return Array.from({ length: tokens }, (_, i) => WORDS[i % WORDS.length]).join(' ');
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
