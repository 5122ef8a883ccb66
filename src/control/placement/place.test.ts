/** Laws that hold for every model, cluster and wish. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { NodeId } from '../../shared/ids.js';
import { slicesRefusal } from '../../shared/modelDivision.js';
import { place } from './place.js';
import { previews } from './previews.js';
import { anyRequest } from './testing/arbitraries.js';
import { freeOf, isJoined } from './testing/bruteForce.js';
import type { PlacementRequest } from './types.js';

/** More than are searched exactly. */
const MANY = 12;

const law = (name: string, check: (request: PlacementRequest) => void, mostNodes = MANY): void => {
  test(name, () => fc.assert(fc.property(anyRequest(mostNodes), check), { numRuns: 400 }));
};

function nodeOf(request: PlacementRequest, nodeId: NodeId) {
  return request.nodes.find((node) => node.nodeId === nodeId)!;
}

law('R36: never more than the free memory of any node, never on a node that cannot be used', (request) => {
  const result = place(request);
  if (result.kind === 'refused') return;
  assert.equal(new Set(result.shards.map(({ nodeId }) => nodeId)).size, result.shards.length);
  for (const { nodeId, memory } of result.shards) {
    const node = nodeOf(request, nodeId);
    assert.ok(memory.totalBytes <= freeOf(node));
    assert.equal(node.status, 'alive');
    assert.ok(node.backends.length > 0);
  }
});

law('R38: the shards are the whole model in the order of ranks, legal, and none is empty', (request) => {
  const result = place(request);
  const { cuts, layers, slices } = request.model;
  if (result.kind === 'refused') return;
  const { shards } = result;
  assert.deepEqual(
    shards.map(({ rank }) => rank),
    shards.map((_, rank) => rank),
  );
  if (shards.length === 1 || result.sharding === 'Tensor') {
    for (const { startLayer, endLayer } of shards) assert.deepEqual([startLayer, endLayer], [0, layers]);
    if (shards.length > 1) assert.equal(slicesRefusal(slices, shards.length), null);
    return;
  }
  assert.ok(cuts.canBeCut);
  assert.equal(shards[0]!.startLayer, 0);
  assert.equal(shards.at(-1)!.endLayer, cuts.layers);
  for (const [rank, { startLayer, endLayer }] of shards.entries()) {
    assert.ok(startLayer < endLayer);
    assert.ok(!cuts.refusedLayerCounts.includes(endLayer - startLayer));
    if (rank > 0) assert.ok(startLayer === shards[rank - 1]!.endLayer && cuts.cuts.includes(startLayer));
  }
});

law('R37: the nodes and numbers asked for are kept to, or it is refused', (request) => {
  const result = place(request);
  if (result.kind === 'refused') return;
  const { minNodes, nodeIds, contextTokens, sequences } = request.wish;
  const used = result.shards.map(({ nodeId }) => nodeId).sort();
  assert.ok(used.length >= (minNodes ?? 1));
  if (nodeIds !== null) assert.deepEqual(used, [...nodeIds].sort());
  if (contextTokens !== null) assert.equal(result.contextTokens, contextTokens);
  if (sequences !== null) assert.equal(result.sequences, sequences);
  assert.ok(result.cacheCells >= result.contextTokens);
  assert.ok(result.cacheCells <= result.contextTokens * result.sequences);
});

law('R40: every link that the transport needs is there, with RDMA where it is required', (request) => {
  const result = place(request);
  if (result.kind === 'refused') return;
  assert.ok(
    isJoined(
      request,
      result.shards.map(({ nodeId }) => nodeOf(request, nodeId)),
    ),
  );
  if (request.wish.requireRdma) assert.ok(result.shards.length > 1);
});

law(
  'R36, R41: every known node, and every one asked for, has exactly one verdict with a reason',
  (request) => {
    const result = place(request);
    const asked = [...request.nodes.map(({ nodeId }) => nodeId), ...(request.wish.nodeIds ?? [])];
    assert.deepEqual(result.nodes.map(({ nodeId }) => nodeId).sort(), [...new Set(asked)].sort());
    for (const { reason } of result.nodes) assert.ok(reason.length > 0);
    const used = result.nodes.filter(({ code }) => code === 'used').map(({ nodeId }) => nodeId);
    const placed = result.kind === 'placed' ? result.shards.map(({ nodeId }) => nodeId) : [];
    assert.deepEqual(used.sort(), placed.sort());
    assert.ok((result.kind === 'placed' ? result.explanation : result.message).length > 0);
  },
);

test('the answer does not depend on the order in which nodes and links are given', () => {
  const shuffled = anyRequest(MANY).chain((request) =>
    fc.record({
      request: fc.constant(request),
      nodes: fc.shuffledSubarray([...request.nodes], { minLength: request.nodes.length }),
      links: fc.shuffledSubarray([...request.links], { minLength: request.links.length }),
    }),
  );
  fc.assert(
    fc.property(shuffled, ({ request, nodes, links }) => {
      assert.deepEqual(place({ ...request, nodes, links }), place(request));
    }),
    { numRuns: 300 },
  );
});

law(
  'R34: what could fit later fits when all nodes are there, linked and empty; what never can does not',
  (request) => {
    const result = place(request);
    const nodes = request.nodes.map((node) => ({ ...node, status: 'alive' as const, memoryTakenBytes: 0 }));
    const links = nodes.flatMap(({ nodeId: from }) =>
      nodes.map(({ nodeId: to }) => {
        const rdma = request.links.filter(
          (link) => [link.from, link.to].sort().join() === [from, to].sort().join(),
        );
        const isRdma = rdma.length > 0 && rdma.every((link) => link.rdma);
        return { from, to, isConnected: true, roundTripUs: 100, bytesPerSecond: 1e9, rdma: isRdma };
      }),
    );
    const ideal = place({ ...request, nodes, links });
    if (result.kind === 'refused') assert.equal(ideal.kind === 'placed', result.canFitLater);
    else assert.equal(ideal.kind, 'placed');
  },
  6,
);

law(
  'R41: previews show each number of nodes, and each is what placing it would give',
  (request) => {
    const shown = [...previews(request)];
    assert.ok(shown.length > 0);
    for (const { sharding, transport, minNodes, result } of shown) {
      const wish = { ...request.wish, sharding, transport, minNodes, preferSpeed: false };
      assert.deepEqual(place({ ...request, wish }), result);
      if (result.kind === 'placed') assert.ok(result.shards.length >= minNodes);
    }
  },
  4,
);

law(
  'absurd numbers of a node or link are not trusted, and break nothing',
  (request) => {
    for (const absurd of [Number.NaN, Number.POSITIVE_INFINITY, -1, 0]) {
      const nodes = request.nodes.map((node, index) =>
        index % 2 === 0 ? { ...node, memoryBytesPerSecond: absurd, operationsPerSecond: absurd } : node,
      );
      const links = request.links.map((link) => ({ ...link, roundTripUs: absurd, bytesPerSecond: absurd }));
      const result = place({ ...request, nodes, links });
      if (result.kind === 'placed') assert.ok(Number.isFinite(result.prediction.requestMs));
      const boundless = nodes.map((node) => ({
        ...node,
        memoryOfferedBytes: absurd,
        memoryTakenBytes: absurd,
      }));
      assert.equal(place({ ...request, nodes: boundless, links }).kind, 'refused');
    }
  },
  4,
);
