/** The embedded model over several ranks: the committed text, alone and in a batch. */
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

const WORLDS = [
  ['Pipeline', 2, 'Ring'],
  ['Pipeline', 3, 'Mesh'],
  ['Pipeline', 4, 'Ring'],
  ['Tensor', 2, 'Ring'],
  ['Tensor', 4, 'Mesh'],
] as const;

for (const [sharding, size, transport] of WORLDS) {
  test(
    `R62, R63: the embedded model as a ${sharding} of ${size} (${transport}) gives the committed text, alone and in a batch`,
    LIMIT,
    async () => {
      const layerCount = getNumber(joinedHeader(MODEL), 'qwen3.block_count') ?? 0;
      const layers =
        sharding === 'Pipeline'
          ? evenLayers(layerCount, size)
          : Array.from({ length: size }, () => ({ first: 0, end: layerCount }));
      const world = await RankWorld.start({ modelPath: MODEL, sharding, layers, transport });
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
