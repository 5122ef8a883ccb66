/** A generation whose tokens come from a timer instead of a model. */
import type { GenerationRequest } from '../../src/shared/generation.js';
import { GenerationStream } from '../../src/shared/generationStream.js';

/** Streams `maxTokens` tokens, one every `tokenMs`; each has the time of its making as its text (`tokenAgeMs`). */
export function produceTokens({ maxTokens }: GenerationRequest, tokenMs: number): GenerationStream {
  const stream = new GenerationStream();
  let left = maxTokens ?? Number.POSITIVE_INFINITY;
  stream.push({ kind: 'started', promptTokens: 1, cachedPromptTokens: 0 });
  const timer = setInterval(() => {
    if (left > 0) {
      left -= 1;
      stream.push({ kind: 'delta', choice: 0, text: String(process.hrtime.bigint()), tokens: [1] });
      return;
    }
    stream.push({ kind: 'choice_finished', choice: 0, reason: 'length' });
    stream.push({ kind: 'finished', stats: NO_STATS });
  }, tokenMs);
  void stream.ended.then(() => clearInterval(timer));
  return stream;
}

/** Milliseconds since a token of `produceTokens` was made, on this machine. */
export function tokenAgeMs(text: string): number {
  return Number(process.hrtime.bigint() - BigInt(text)) / 1e6;
}

const NO_STATS = {
  promptTokens: 1,
  cachedPromptTokens: 0,
  generatedTokens: 1,
  queueMs: 0,
  prefillMs: 0,
  timeToFirstTokenMs: 0,
  decodeMs: 0,
  peakMemoryBytes: 0,
};
