/** One model over several runner processes says what it says in one. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { packageRoot } from '../../src/shared/packageRoot.js';
import { RankGroup } from './rankGroup.js';
import { RunnerClient } from './runnerClient.js';

const LIMIT = { timeout: 120_000 };
const MODEL = join(packageRoot(), 'models', 'shoal-guide.gguf');
const LAYERS = 8;
const SAMPLINGS = [
  { seed: 42, temperature: 0 },
  { seed: 7, temperature: 1.1, topP: 0.95, repetitionPenalty: 1.1 },
];
const PROMPTS = ['A fox', 'Once upon a time there was a boat', 'To join a cluster', 'The node'];

let whole: RunnerClient;
before(async () => {
  whole = new RunnerClient();
  whole.load(MODEL);
  await whole.ready();
}, LIMIT);
after(() => whole.stop());

const asked = (prompt: string, sampling: object, more = {}) => ({
  input: { kind: 'text', text: prompt } as const,
  sampling: sampling as { seed: number },
  maxTokens: 24,
  ignoreEos: true,
  ...more,
});

for (const { cuts, transport } of [
  { cuts: [4], transport: 'Ring' },
  { cuts: [3, 5], transport: 'Ring' },
  { cuts: [2, 4, 6], transport: 'Mesh' },
] as const) {
  test(`R62: the same tokens over ${cuts.length + 1} ranks as on one, ${transport}`, LIMIT, async () => {
    const group = await RankGroup.start({ modelPath: MODEL, cuts, layers: LAYERS, transport });
    try {
      await group.ready();
      for (const sampling of SAMPLINGS) {
        for (const prompt of PROMPTS) {
          const request = asked(prompt, sampling, { topLogprobs: 2 });
          const [one, several] = await Promise.all([whole.complete(request), group.first.complete(request)]);
          assert.equal(several.fault, null);
          assert.deepEqual(several.tokens, one.tokens);
          assert.deepEqual(several.logprobs, one.logprobs);
          assert.deepEqual(several.texts, one.texts);
        }
        const together = await Promise.all(
          PROMPTS.map((prompt) => group.first.complete(asked(prompt, sampling))),
        );
        for (const collected of together) assert.equal(collected.tokens[0]!.length, 24);
      }
    } finally {
      await group.stop();
    }
  });
}
