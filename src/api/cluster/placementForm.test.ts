/** Whatever placement decides can be shown, sent as JSON, and sent back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { place } from '../../control/placement/place.js';
import { anyRequest } from '../../control/placement/testing/arbitraries.js';
import { placementForm, placementSchema, previewForm, previewSchema, toInstance } from './placementForm.js';

test('R41: every placement survives the way to the client and back, every refusal the way there', () => {
  let placed = 0;
  fc.assert(
    fc.property(anyRequest(4), (request) => {
      const { modelId } = request.model;
      const result = place(request);
      const { sharding, transport } = request.wish;
      const option = JSON.parse(
        JSON.stringify(previewForm(modelId, { sharding, transport, minNodes: 1, result })),
      );
      assert.deepEqual(previewSchema.parse(option), option);
      if (result.kind === 'refused') return;
      placed += 1;
      const shown = JSON.parse(JSON.stringify(placementForm(modelId, result)));
      const instance = toInstance(placementSchema.parse(shown));
      assert.deepEqual(
        [instance.modelId, instance.contextLength, instance.maxSequences, instance.cacheCells],
        [modelId, result.contextTokens, result.sequences, result.cacheCells],
      );
      assert.deepEqual(
        instance.shards.map((shard) => [shard.nodeId, shard.startLayer, shard.endLayer, shard.memoryBytes]),
        result.shards.map((shard) => [
          shard.nodeId,
          shard.startLayer,
          shard.endLayer,
          shard.memory.totalBytes,
        ]),
      );
    }),
  );
  assert.ok(placed > 0, 'the law was tried on placements too');
});
