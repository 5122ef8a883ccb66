/** Arbitrary models, clusters and wishes for the laws of placement: small enough to try every possibility. */

import fc from 'fast-check';
import type { ModelId, NodeId } from '../../../shared/ids.js';
import type { LayerCuts } from '../../../shared/modelDivision.js';
import type { LinkFacts, ModelShape, NodeResources, PlacementRequest, PlacementWish } from '../types.js';

const MEGABYTE = 1e6;

const megabytes = (min: number, max: number): fc.Arbitrary<number> =>
  fc.integer({ min, max }).map((value) => value * MEGABYTE);

const perLayer = <T>(layers: number, value: fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
  fc.array(value, { minLength: layers, maxLength: layers });

/** Cuts at some of the layers; at times the last layer takes no part in shards, or a number of layers is refused. */
function cutsOf(layers: number): fc.Arbitrary<LayerCuts> {
  return fc
    .record({
      drafting: layers > 2 ? fc.constantFrom(0, 0, 0, 1) : fc.constant(0),
      cuts: fc.subarray(Array.from({ length: layers }, (_, layer) => layer)),
      everywhere: oftenFirst(3, true, false),
      refusedLayerCounts: oftenFirst<readonly number[]>(4, [], [2]),
      refused: oftenFirst(9, false, true),
    })
    .map(({ drafting, cuts, everywhere, refusedLayerCounts, refused }): LayerCuts => {
      const end = layers - drafting;
      const all = Array.from({ length: end - 1 }, (_, index) => index + 1);
      const legal = everywhere ? all : cuts.filter((layer) => layer > 0 && layer < end);
      if (refused || legal.length === 0)
        return { canBeCut: false, reason: 'its layers are all of one piece.' };
      return { canBeCut: true, cuts: legal, layers: end, refusedLayerCounts };
    });
}

const anyModel: fc.Arbitrary<ModelShape> = fc.integer({ min: 2, max: 8 }).chain((layers) =>
  fc.record({
    modelId: fc.constant('model' as ModelId),
    layers: fc.constant(layers),
    trainedContextTokens: fc.constantFrom(null, 2_048, 32_768),
    hiddenSize: fc.constantFrom(1_024, 4_096),
    weights: fc.record({
      layerBytes: perLayer(layers, megabytes(50, 400)),
      embeddingBytes: megabytes(0, 300),
      firstShardBytes: oftenFirst(3, 0, 20 * MEGABYTE),
      outputBytes: megabytes(1, 300),
      tiedHeadBytes: fc.oneof(fc.constant(0), megabytes(1, 300)),
      commonBytes: megabytes(0, 2),
    }),
    cache: fc.record({
      cellBytes: perLayer(layers, fc.constantFrom(0, 2_048, 8_192)),
      sequenceBytes: perLayer(layers, fc.constantFrom(0, 500_000)),
      cellMultiple: fc.constant(256),
    }),
    overhead: fc.record({
      fixedBytes: fc.constant(80 * MEGABYTE),
      activationBytes: megabytes(1, 60),
      logitsRowBytes: fc.constantFrom(128_000, 608_000),
      mostOutputRows: fc.constant(512),
      bytesPerCell: fc.constant(1_074),
      passedRowsBytes: megabytes(0, 8),
    }),
    work: fc.record({
      weightType: fc.constantFrom(null, 'q4_K', 'f16', 'q6_K'),
      layerReadBytes: perLayer(layers, megabytes(20, 400)),
      layerOperations: perLayer(layers, megabytes(40, 800)),
      headReadBytes: megabytes(1, 300),
      headOperations: megabytes(1, 600),
    }),
    cuts: cutsOf(layers),
    slices: fc.constantFrom<ModelShape['slices']>(
      { canBeSliced: false, reason: 'its family is not known.' },
      {
        canBeSliced: true,
        dimensions: [
          { name: 'heads', size: 24, unit: 1 },
          { name: 'KV heads', size: 12, unit: 1 },
          { name: 'numbers of the feed-forward layer', size: 768, unit: 32 },
        ],
      },
    ),
  }),
);

const anySpeed = (values: readonly number[]): fc.Arbitrary<number | null> => fc.constantFrom(null, ...values);

/** The first value so many times as often as any other. */
function oftenFirst<T>(times: number, first: T, ...others: T[]): fc.Arbitrary<T> {
  return fc.constantFrom(...new Array<T>(times).fill(first), ...others);
}

/** Its memory is given in hundredths of what the whole model needs. */
function nodeArbitrary(name: string): fc.Arbitrary<NodeResources> {
  return fc.record({
    nodeId: fc.constant(name as NodeId),
    name: fc.constant(`machine ${name}`),
    status: oftenFirst(30, 'alive', 'suspect', 'dead', 'draining'),
    memoryOfferedBytes: fc.integer({ min: 20, max: 110 }),
    memoryTakenBytes: oftenFirst(4, 0, 5, 20, 200),
    memoryBytesPerSecond: anySpeed([20e9, 25e9, 50e9, 100e9, 400e9]),
    operationsPerSecond: anySpeed([100e9, 200e9, 1e12, 10e12]),
    hasModelFiles: fc.boolean(),
    backends: oftenFirst(20, ['cpu'], ['metal', 'cpu'], []),
  });
}

/** Nodes `n0` and so on, with a link between most pairs. */
function anyCluster(mostNodes: number): fc.Arbitrary<Pick<PlacementRequest, 'nodes' | 'links'>> {
  return fc.integer({ min: Math.ceil(mostNodes / 2), max: mostNodes }).chain((count) => {
    const names = Array.from({ length: count }, (_, index) => `n${index}`);
    const pairs = names.flatMap((from, at) => names.slice(at + 1).map((to) => [from, to] as const));
    return fc.record({
      nodes: fc.tuple(...names.map(nodeArbitrary)),
      links: fc.tuple(...pairs.map(([from, to]) => linkArbitrary(from, to))).map((links) => links.flat()),
    });
  });
}

function linkArbitrary(from: string, to: string): fc.Arbitrary<LinkFacts[]> {
  return fc
    .record({
      isConnected: oftenFirst(15, true, false),
      roundTripUs: anySpeed([40, 200, 1_000, 5_000]),
      bytesPerSecond: anySpeed([12e6, 110e6, 1e9, 5e9]),
      rdma: oftenFirst(2, true, false),
      hears: oftenFirst(15, 'both', 'one', 'none'),
    })
    .map(({ hears, ...facts }) => {
      const there = { ...facts, from: from as NodeId, to: to as NodeId };
      if (hears === 'none') return [];
      return hears === 'one' ? [there] : [there, { ...there, from: there.to, to: there.from }];
    });
}

/** For a context and a number of sequences that are asked for, so that there is one size to try. */
export const anySizedWish: fc.Arbitrary<PlacementWish> = fc.record({
  sharding: fc.constant('Pipeline'),
  transport: fc.constantFrom('Ring', 'Mesh'),
  minNodes: fc.constantFrom(null, null, 1, 2, 3, 4),
  nodeIds: fc.constant(null),
  requireRdma: oftenFirst(9, false, true),
  preferSpeed: fc.boolean(),
  contextTokens: fc.constantFrom(512, 4_096),
  sequences: fc.constantFrom(1, 4, 16),
});

const anyWish: fc.Arbitrary<PlacementWish> = fc.record({
  sharding: fc.constantFrom('Pipeline', 'Tensor'),
  transport: fc.constantFrom('Ring', 'Mesh'),
  minNodes: fc.constantFrom(null, null, 1, 2, 3, 9),
  nodeIds: fc.oneof(
    { weight: 3, arbitrary: fc.constant(null) },
    {
      weight: 1,
      arbitrary: fc.subarray(['n0', 'n1', 'n2', 'n3', 'nobody'] as NodeId[], { minLength: 1 }),
    },
  ),
  requireRdma: fc.constantFrom(false, false, true),
  preferSpeed: fc.boolean(),
  contextTokens: fc.constantFrom(null, null, 512, 8_192),
  sequences: fc.constantFrom(null, 1, 4),
});

export function anyRequest(mostNodes: number, wish = anyWish): fc.Arbitrary<PlacementRequest> {
  const drawn = fc.record({ model: anyModel, cluster: anyCluster(mostNodes), wish });
  return fc.noBias(drawn).map(({ model, cluster, wish }) => {
    const unit = roughNeedBytes(model) / 100;
    const nodes = cluster.nodes.map((node) => ({
      ...node,
      memoryOfferedBytes: Math.round(node.memoryOfferedBytes * unit),
      memoryTakenBytes: Math.round(node.memoryTakenBytes * unit),
    }));
    return { model, wish, nodes, links: cluster.links };
  });
}

function roughNeedBytes({ weights, cache, overhead }: ModelShape): number {
  const layers = weights.layerBytes.reduce(
    (sum, bytes, layer) => sum + bytes + 4_096 * cache.cellBytes[layer]!,
    0,
  );
  return layers + weights.embeddingBytes + weights.outputBytes + 3 * overhead.fixedBytes;
}
