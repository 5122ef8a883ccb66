import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { place } from '../control/placement/place.js';
import { ShardSizes } from '../control/placement/shardMemory.js';
import type { PlacementRequest } from '../control/placement/types.js';
import { cardOf, type ModelCard } from '../models/card.js';
import { readGguf } from '../models/gguf/reader.js';
import { writeGguf } from '../models/gguf/writer.js';
import { estimateShardMemory } from '../models/memory.js';
import { testModel, uint } from '../models/testing/modelFile.js';
import type { ModelId, NodeId } from '../shared/ids.js';
import { type FitWish, fitModel } from './fitModel.js';
import { placementShape } from './placementShape.js';

const MODEL = 'small' as ModelId;
function cardWith(layers: number, tied: boolean, contextLength: number, feedForward: number): ModelCard {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-shape-'));
  const path = join(folder, 'small.gguf');
  const metadata = {
    'llama.context_length': uint(contextLength),
    'llama.feed_forward_length': uint(feedForward),
  };
  writeGguf(path, testModel({ layers, tied, metadata }));
  const card = cardOf(readGguf(path), MODEL);
  rmSync(folder, { recursive: true });
  return card;
}

/** Activations larger than any logits, and smaller. */
const CARDS = [
  cardWith(64, true, 32_768, 128),
  cardWith(12, false, 2_048, 20_000),
  cardWith(3, true, 700, 8),
];
const anyCard = fc.constantFrom(...CARDS);

function onOneNode(card: ModelCard, memoryOfferedBytes: number, wish: FitWish): PlacementRequest {
  return {
    model: placementShape(MODEL, card),
    nodes: [
      {
        nodeId: 'a' as NodeId,
        name: 'a',
        status: 'alive',
        memoryOfferedBytes,
        memoryTakenBytes: 0,
        memoryBytesPerSecond: null,
        operationsPerSecond: null,
        hasModelFiles: true,
        backends: ['cpu'],
      },
    ],
    links: [],
    wish: {
      sharding: 'Pipeline',
      transport: 'Ring',
      minNodes: null,
      nodeIds: null,
      requireRdma: false,
      preferSpeed: false,
      ...wish,
    },
  };
}

test('R36: memory of any shard is what the estimate says', () => {
  const anySize = fc.record({
    contextTokens: fc.integer({ min: 1, max: 9_000 }),
    sequences: fc.integer({ min: 1, max: 600 }),
  });
  fc.assert(
    fc.property(anyCard, anySize, fc.nat(), fc.nat(), (card, { contextTokens, sequences }, one, other) => {
      const startLayer = one % card.layers;
      // The whole model is no shard: the next test is about its memory.
      const mostLayers = startLayer === 0 ? card.layers - 1 : card.layers - startLayer;
      const endLayer = startLayer + 1 + (other % mostLayers);
      const boundaries = Array.from({ length: card.layers + 1 }, (_, layer) => layer);
      const sizes = new ShardSizes(
        placementShape(MODEL, card),
        { contextTokens, sequences, cacheCells: contextTokens * sequences },
        boundaries,
      );
      assert.deepEqual(
        sizes.range(startLayer, endLayer),
        estimateShardMemory(card, { startLayer, endLayer }, { contextTokens, sequences }),
      );
    }),
    { numRuns: 300 },
  );
});

test('R36: on one node placement gives context, cells and memory as the fit of one node does', () => {
  const anyWish = fc.record({
    contextTokens: fc.constantFrom(null, null, 512, 3_000),
    sequences: fc.constantFrom(null, null, 1, 5),
  });
  let fitted = 0;
  fc.assert(
    fc.property(anyCard, fc.integer({ min: 70, max: 3_000 }), anyWish, (card, mebibytes, wish) => {
      const bytes = mebibytes * 2 ** 20;
      const result = place(onOneNode(card, bytes, wish));
      if (result.kind === 'refused') {
        assert.throws(() => fitModel(card, bytes, wish), { code: 'placement_impossible' });
        return;
      }
      const { contextTokens, sequences, cacheCells, shards } = result;
      assert.deepEqual(
        { contextTokens, sequences, cacheCells, memory: shards[0]?.memory },
        fitModel(card, bytes, wish),
      );
      fitted += 1;
    }),
    { numRuns: 300 },
  );
  assert.ok(fitted > 50, `${fitted} of them fit`);
});
