/** The embedded model as a pipeline: the committed text, alone and in a batch. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { getNumber } from '../../src/models/gguf/metadata.js';
import { joinedHeader } from '../../src/models/splitFiles.js';
import { packageRoot } from '../../src/shared/packageRoot.js';
import { evenLayers, RankWorld } from './rankWorld.js';

const LIMIT = { timeout: 180_000 };
const MODEL = join(packageRoot(), 'models', 'shoal-guide.gguf');
const SNAPSHOT = JSON.parse(
  readFileSync(join(packageRoot(), 'test', 'node', 'guide.snapshot.json'), 'utf8'),
) as Readonly<Record<string, string>>;

for (const size of [2, 3, 4]) {
  test(
    `R62, R63: the embedded model over ${size} ranks gives the committed text, alone and in a batch`,
    LIMIT,
    async () => {
      const header = joinedHeader(MODEL);
      const layers = evenLayers(getNumber(header, 'qwen3.block_count') ?? 0, size);
      const world = await RankWorld.start({
        modelPath: MODEL,
        layers,
        transport: size === 3 ? 'Mesh' : 'Ring',
      });
      try {
        await world.ready();
        const ask = async (question: string): Promise<string> => {
          const input = { kind: 'chat', messages: [{ role: 'user', content: question }] } as const;
          const sampling = { seed: 42, temperature: 0 };
          const { texts, fault } = await world.leader.complete({ input, sampling, maxTokens: 60 });
          assert.equal(fault, null);
          return texts[0]!;
        };
        for (const [question, text] of Object.entries(SNAPSHOT)) assert.equal(await ask(question), text);
        const batch = await Promise.all(Object.keys(SNAPSHOT).map(ask));
        assert.deepEqual(batch, Object.values(SNAPSHOT));
      } finally {
        await world.stop();
      }
    },
  );
}
