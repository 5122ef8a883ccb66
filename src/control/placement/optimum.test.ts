/** Placement against trying everything. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { COST_PARAMETERS } from './costParameters.js';
import { place } from './place.js';
import { anyRequest, anySizedWish } from './testing/arbitraries.js';
import { bestByForce, memoryOf, type Part, requestMsOf, scoreOf } from './testing/bruteForce.js';
import type { Placement, PlacementRequest } from './types.js';

const CLUSTERS = 1_000;
const MOST_NODES = 6;
const TOLERANCE = 0.01;

function partsOf(request: PlacementRequest, placement: Placement): Part[] {
  return placement.shards.map(({ nodeId, startLayer, endLayer }) => ({
    node: request.nodes.find((node) => node.nodeId === nodeId)!,
    first: startLayer,
    end: endLayer,
  }));
}

test('R38: within 1 % of the best of all ordered sets of nodes and all divisions, on 1,000 clusters', () => {
  const sizes = new Map<number, number>();
  fc.assert(
    fc.property(anyRequest(MOST_NODES, anySizedWish), (request) => {
      const best = bestByForce(request, COST_PARAMETERS);
      const result = place(request);
      assert.equal(result.kind, best === null ? 'refused' : 'placed');
      if (result.kind === 'refused' || best === null) return;
      const parts = partsOf(request, result);
      const score = scoreOf(request, parts, COST_PARAMETERS);
      assert.ok(score <= best.score * (1 + TOLERANCE), `${score} against ${best.score}`);
      if (!request.wish.preferSpeed) assert.equal(parts.length, best.parts.length);
      sizes.set(parts.length, (sizes.get(parts.length) ?? 0) + 1);
    }),
    { numRuns: CLUSTERS, seed: 36 },
  );
  // The clusters are of a kind in which there is something to choose.
  for (const count of [1, 2, 3, 4])
    assert.ok((sizes.get(count) ?? 0) > CLUSTERS / 50, `${[...sizes].join(' ')}`);
});

test('R36, R38: memory and predicted time of a choice are what the definitions give', () => {
  fc.assert(
    fc.property(anyRequest(MOST_NODES, anySizedWish), (request) => {
      const result = place(request);
      if (result.kind === 'refused') return;
      const parts = partsOf(request, result);
      const expected = requestMsOf(request, parts, COST_PARAMETERS);
      assert.ok(Math.abs(result.prediction.requestMs - expected) <= expected * 1e-9);
      result.shards.forEach(({ memory }, rank) => {
        assert.equal(memory.totalBytes, memoryOf(request, parts[rank]!, parts, result.cacheCells));
        assert.equal(memory.totalBytes, memory.weightsBytes + memory.cacheBytes + memory.overheadBytes);
      });
    }),
    { numRuns: 300 },
  );
});
