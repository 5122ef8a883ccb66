/** What the tests of several rooms share. */
import type { GenerationRequest, GenerationStats } from './generation.js';
import type { CommandId, ModelId } from './ids.js';

export const TEST_MODEL = 'tiny' as ModelId;

/** A request without an end of its own. */
export const TEST_REQUEST: GenerationRequest = {
  commandId: 'command' as CommandId,
  modelId: TEST_MODEL,
  input: { kind: 'text', text: 'x' },
  sampling: { seed: 1 },
  maxTokens: null,
  stop: [],
  ignoreEos: false,
  topLogprobs: null,
  choices: 1,
  deadlineMs: 60_000,
};

/** Numbers that can be told apart. */
export const TEST_STATS: GenerationStats = {
  promptTokens: 7,
  cachedPromptTokens: 0,
  generatedTokens: 9,
  queueMs: 1,
  prefillMs: 2,
  timeToFirstTokenMs: 3,
  decodeMs: 4,
  peakMemoryBytes: 5,
};
