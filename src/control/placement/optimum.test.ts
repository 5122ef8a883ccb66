/** Placement against trying everything. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { COST_PARAMETERS } from './costParameters.js';
import { place } from './place.js';
import { anyRequest, anySizedWish } from './testing/arbitraries.js';
import {
  bestByForce,
  divisions,
  freeOf,
  memoryOf,
  type Part,
  requestMsOf,
  scoreOf,
  type Times,
  timesOf,
} from './testing/bruteForce.js';
import type { Placement, PlacementRequest } from './types.js';

const CLUSTERS = 1_000;
const MOST_NODES = 6;
const TOLERANCE = 0.01;
/** Nothing is given away for the sake of many streams. */
const ONE_STREAM = { ...COST_PARAMETERS, balanceTokenShare: 0, balanceRequestShare: 0 };

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
      const result = place(request, ONE_STREAM);
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

test('R38: of the cuts that are as good for one stream, the ones with the least longest stage', () => {
  const { answerTokens, balanceTokenShare, balanceRequestShare, promptTokens, chunkTokens } = COST_PARAMETERS;
  const sumOf = ({ tokenMs, promptMs }: Times): number => answerTokens * tokenMs + promptMs;
  const furtherChunks = promptTokens / chunkTokens - 1;
  let changed = 0;
  const wish = anySizedWish.map((drawn) => ({ ...drawn, minNodes: 3 }));
  fc.assert(
    fc.property(anyRequest(MOST_NODES, wish), (drawn) => {
      const speeds = { memoryBytesPerSecond: 50e9, operationsPerSecond: 1e12 };
      const request = { ...drawn, nodes: drawn.nodes.map((node) => ({ ...node, ...speeds })) };
      const single = place(request, ONE_STREAM);
      const result = place(request);
      if (result.kind === 'refused' || single.kind === 'refused') return;
      const before = partsOf(request, single);
      const after = partsOf(request, result);
      const order = before.map(({ node }) => node);
      assert.deepEqual(
        after.map(({ node }) => node),
        order,
      );
      const had = timesOf(request, before, COST_PARAMETERS);
      const mostMs = (sumOf(had) + balanceTokenShare * answerTokens * had.tokenMs) * (1 + 1e-9);
      const mostSlowestMs =
        had.slowestMs + (balanceRequestShare * single.prediction.requestMs) / furtherChunks;
      let leastMs = Number.POSITIVE_INFINITY;
      for (const parts of divisions(request.model, order)) {
        const fits = parts.every(
          (part) => memoryOf(request, part, parts, result.cacheCells) <= freeOf(part.node),
        );
        const times = timesOf(request, parts, COST_PARAMETERS);
        if (!fits || sumOf(times) > mostMs || times.slowestMs > mostSlowestMs) continue;
        leastMs = Math.min(leastMs, times.longestStageMs);
      }
      const { prediction } = result;
      assert.ok(
        prediction.longestStageMs <= leastMs * 1.002,
        `${prediction.longestStageMs} against ${leastMs}`,
      );
      const given = timesOf(request, after, COST_PARAMETERS);
      assert.ok(sumOf(given) <= mostMs && given.slowestMs <= mostSlowestMs * (1 + 1e-9));
      assert.equal(single.cacheCells, result.cacheCells);
      if (prediction.longestStageMs < single.prediction.longestStageMs) changed += 1;
    }),
    { numRuns: 300, seed: 37 },
  );
  assert.ok(changed > 20, `${changed} of them were balanced`);
});

test('R36, R38: memory and predicted time of a choice are what the definitions give', () => {
  fc.assert(
    fc.property(anyRequest(MOST_NODES, anySizedWish), (request) => {
      const result = place(request);
      if (result.kind === 'refused') return;
      const parts = partsOf(request, result);
      const expected = requestMsOf(request, parts, COST_PARAMETERS);
      assert.ok(Math.abs(result.prediction.requestMs - expected) <= expected * 1e-9);
      const { longestStageMs } = timesOf(request, parts, COST_PARAMETERS);
      assert.ok(Math.abs(result.prediction.longestStageMs - longestStageMs) <= longestStageMs * 1e-9);
      result.shards.forEach(({ memory }, rank) => {
        assert.equal(memory.totalBytes, memoryOf(request, parts[rank]!, parts, result.cacheCells));
        assert.equal(memory.totalBytes, memory.weightsBytes + memory.cacheBytes + memory.overheadBytes);
      });
    }),
    { numRuns: 300 },
  );
});
