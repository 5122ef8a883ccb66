/** Decisions that a person would expect, one by one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InstanceId, ModelId, NodeId } from '../../shared/ids.js';
import { placementFault } from './explainRefusal.js';
import { place } from './place.js';
import { takenMemory } from './takenMemory.js';
import type {
  LinkFacts,
  ModelShape,
  NodeResources,
  Placement,
  PlacementRefusal,
  PlacementRequest,
  PlacementWish,
} from './types.js';

const GIGABYTE = 1e9;
const LAYERS = 24;
const each = (value: number): number[] => new Array(LAYERS).fill(value);

/** 24 layers of 0.2 GB: with embeddings, head, cache and overhead about 5.6 GB. */
const MODEL: ModelShape = {
  modelId: 'medium' as ModelId,
  layers: LAYERS,
  trainedContextTokens: 32_768,
  hiddenSize: 2_048,
  weights: {
    layerBytes: each(0.2 * GIGABYTE),
    embeddingBytes: 0.2 * GIGABYTE,
    firstShardBytes: 0,
    outputBytes: 0.2 * GIGABYTE,
    tiedHeadBytes: 0,
    commonBytes: 0,
  },
  cache: { cellBytes: each(4_096), sequenceBytes: each(0), cellMultiple: 256 },
  overhead: {
    fixedBytes: 0.08 * GIGABYTE,
    activationBytes: 0.02 * GIGABYTE,
    logitsRowBytes: 400_000,
    mostOutputRows: 512,
    bytesPerCell: 1_074,
    passedRowsBytes: 4_000_000,
  },
  work: {
    weightType: 'q8_0',
    layerReadBytes: each(0.2 * GIGABYTE),
    layerOperations: each(0.4 * GIGABYTE),
    headReadBytes: 0.2 * GIGABYTE,
    headOperations: 0.4 * GIGABYTE,
  },
  cuts: {
    canBeCut: true,
    cuts: Array.from({ length: LAYERS - 1 }, (_, index) => index + 1),
    layers: LAYERS,
    refusedLayerCounts: [],
  },
  slices: {
    canBeSliced: true,
    dimensions: [
      { name: 'heads', size: 16, unit: 1 },
      { name: 'KV heads', size: 8, unit: 1 },
    ],
  },
};

const WISH: PlacementWish = {
  sharding: 'Pipeline',
  transport: 'Ring',
  minNodes: null,
  nodeIds: null,
  requireRdma: false,
  preferSpeed: false,
  contextTokens: null,
  sequences: null,
};

function node(name: string, gigabytes: number, more: Partial<NodeResources> = {}): NodeResources {
  return {
    nodeId: name as NodeId,
    name,
    status: 'alive',
    memoryOfferedBytes: gigabytes * GIGABYTE,
    memoryTakenBytes: 0,
    memoryBytesPerSecond: 50e9,
    operationsPerSecond: 500e9,
    hasModelFiles: true,
    backends: ['cpu'],
    ...more,
  };
}

function link(from: string, to: string, more: Partial<LinkFacts> = {}): LinkFacts {
  const facts = { isConnected: true, roundTripUs: 200, bytesPerSecond: 1e9, rdma: false, ...more };
  return { from: from as NodeId, to: to as NodeId, ...facts };
}

function allLinked(nodes: readonly NodeResources[], more: Partial<LinkFacts> = {}): LinkFacts[] {
  return nodes.flatMap(({ nodeId }, at) =>
    nodes.slice(at + 1).map((other) => link(nodeId, other.nodeId, more)),
  );
}

interface Given extends Partial<Omit<PlacementRequest, 'wish'>> {
  readonly nodes: readonly NodeResources[];
  readonly wish?: Partial<PlacementWish>;
}

function ask({ nodes, links = allLinked(nodes), wish = {}, model = MODEL }: Given) {
  return place({ model, nodes, links, wish: { ...WISH, ...wish } });
}

function placed(given: Given): Placement {
  const result = ask(given);
  assert.equal(result.kind, 'placed', result.kind === 'refused' ? result.message : '');
  return result as Placement;
}

function refused(given: Given): PlacementRefusal {
  const result = ask(given);
  assert.equal(result.kind, 'refused');
  return result as PlacementRefusal;
}

const usedBy = ({ shards }: Placement): string[] => shards.map(({ nodeId }) => nodeId);
const layersOf = ({ shards }: Placement): number[] =>
  shards.map((shard) => shard.endLayer - shard.startLayer);
const codeOf = ({ nodes }: PlacementRefusal | Placement, name: string): string | undefined =>
  nodes.find(({ nodeId }) => nodeId === name)?.code;

test('R37: the fewest nodes, and of them the fastest', () => {
  const nodes = [node('a', 8), node('b', 8, { memoryBytesPerSecond: 100e9 }), node('c', 4)];
  const result = placed({ nodes });
  assert.deepEqual(usedBy(result), ['b']);
  assert.match(
    result.explanation,
    /medium goes to 1 node, the fastest that it fits on\. Predicted: .* a token/,
  );
  assert.equal(codeOf(result, 'a'), 'not_needed');
});

test('R37: a node that would make it slower is added only when that is asked for', () => {
  const nodes = [node('a', 8), node('b', 8, { memoryBytesPerSecond: 10e9 })];
  assert.deepEqual(usedBy(placed({ nodes })), ['a']);
  assert.deepEqual(usedBy(placed({ nodes, wish: { preferSpeed: true } })), ['a']);
  assert.equal(usedBy(placed({ nodes, wish: { minNodes: 2 } })).length, 2);
  assert.deepEqual(usedBy(placed({ nodes, wish: { nodeIds: [nodes[1]!.nodeId] } })), ['b']);
});

test('R37: more nodes than it takes, where they make it faster and speed is preferred', () => {
  const fast = { memoryBytesPerSecond: 400e9 };
  const nodes = [node('a', 8, { memoryBytesPerSecond: 10e9 }), node('b', 4, fast), node('c', 4, fast)];
  assert.deepEqual(usedBy(placed({ nodes })), ['a']);
  assert.deepEqual(usedBy(placed({ nodes, wish: { preferSpeed: true } })).sort(), ['b', 'c']);
});

test('R38: the faster of two nodes gets the more layers, as far as its memory goes; equal ones get alike', () => {
  const unequal = placed({ nodes: [node('a', 4), node('b', 4, { memoryBytesPerSecond: 200e9 })] });
  const layers = new Map(unequal.shards.map((shard) => [shard.nodeId, shard.endLayer - shard.startLayer]));
  assert.ok(layers.get('b' as NodeId)! > layers.get('a' as NodeId)!);
  const equal = layersOf(placed({ nodes: [node('a', 4), node('b', 4)] }));
  assert.ok(Math.abs(equal[0]! - equal[1]!) <= 2, equal.join());
});

test('R38: the last of two equal nodes has the head as well, and so fewer layers; one stream hardly loses', () => {
  const head = { ...MODEL.work, headReadBytes: 1.2 * GIGABYTE, headOperations: 2.4 * GIGABYTE };
  const given = {
    nodes: [node('a', 8), node('b', 8)],
    model: { ...MODEL, work: head },
    wish: { minNodes: 2 },
  };
  const result = placed(given);
  // A head of six layers: fifteen before it, and nine with it.
  assert.deepEqual(layersOf(result), [15, 9]);
  assert.match(result.explanation, /With as many requests at once as nodes, a step every \d+\.\d ms/);
  const { tokenMs, longestStageMs } = result.prediction;
  assert.ok(longestStageMs < 0.51 * tokenMs, `${longestStageMs} of ${tokenMs}`);
});

test('R38: the nearer nodes are taken, and neighbours in the ring are near each other', () => {
  const nodes = ['a', 'b', 'c', 'd'].map((name) => node(name, 3.5));
  const links = allLinked(nodes, { roundTripUs: 20_000 }).map((facts) =>
    ['b', 'd'].includes(facts.from) && ['b', 'd'].includes(facts.to) ? { ...facts, roundTripUs: 100 } : facts,
  );
  assert.deepEqual(usedBy(placed({ nodes, links })).sort(), ['b', 'd']);
});

test('R39: of equal nodes the one that holds the files; a much faster one without them still wins', () => {
  const away = { hasModelFiles: false };
  assert.deepEqual(usedBy(placed({ nodes: [node('a', 8, away), node('b', 8)] })), ['b']);
  const fast = { ...away, memoryBytesPerSecond: 80e9 };
  const result = placed({ nodes: [node('a', 8, fast), node('b', 8)] });
  assert.deepEqual(usedBy(result), ['a']);
  assert.match(result.nodes[0]!.reason, /has to be fetched first/);
});

test('R31, R39: memory of instances and of placements in flight is not there a second time', () => {
  const nodes = [node('a', 8), node('b', 7)];
  const first = placed({ nodes });
  const taken = takenMemory([
    {
      instanceId: 'x' as InstanceId,
      shards: first.shards.map((shard) => ({ ...shard, memoryBytes: shard.memory.totalBytes })),
    },
    { shards: [] },
  ] as { shards: { nodeId: NodeId; memoryBytes: number }[] }[]);
  const left = nodes.map((each) => ({ ...each, memoryTakenBytes: taken.get(each.nodeId) ?? 0 }));
  const second = placed({ nodes: left });
  assert.notDeepEqual(usedBy(second), usedBy(first));
  const both = left.map((each) => ({ ...each, memoryTakenBytes: each.memoryTakenBytes || 6 * GIGABYTE }));
  assert.equal(refused({ nodes: both }).canFitLater, true);
});

test('R36: nodes that are dead, suspect, stopping or without an engine are left out, each with its reason', () => {
  const nodes = [
    node('a', 8, { status: 'dead' }),
    node('b', 8, { status: 'suspect' }),
    node('c', 8, { status: 'draining' }),
    node('d', 8, { backends: [] }),
    node('e', 0),
    node('f', 8, { memoryTakenBytes: 8 * GIGABYTE }),
    node('g', 1),
  ];
  const result = refused({ nodes });
  assert.deepEqual(
    nodes.map(({ nodeId }) => codeOf(result, nodeId)),
    ['dead', 'suspect', 'draining', 'no_engine', 'no_memory', 'no_memory', 'not_enough'],
  );
  assert.equal(result.canFitLater, true);
  assert.match(
    result.message,
    /needs .* of memory \(weights .*, KV cache .*, overhead .*\).*It would fit if/,
  );
});

test('R34: what not even all nodes together could hold is told from what could fit later', () => {
  assert.equal(refused({ nodes: [node('a', 2), node('b', 2)] }).canFitLater, false);
  assert.equal(refused({ nodes: [node('a', 4), node('b', 4, { status: 'dead' })] }).canFitLater, true);
  assert.equal(refused({ nodes: [node('a', 4)] }).canFitLater, false);
});

test('R36: memory counts on each node and not in sum', () => {
  const nodes = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'].map((name) => node(name, 0.6));
  const result = refused({
    nodes,
    model: { ...MODEL, cuts: { canBeCut: true, cuts: [12], layers: 24, refusedLayerCounts: [] } },
  });
  assert.deepEqual([result.code, codeOf(result, 'a')], ['too_large', 'too_little_memory']);
  assert.match(result.message, /10 nodes that can be used have .* free in all.*can be cut at 1 places/);
});

test('R36: a short memory shortens the context that nobody asked for, and refuses the one that was asked for', () => {
  const nodes = [node('a', 5.45)];
  const result = placed({ nodes });
  assert.ok(result.contextTokens < 4_096);
  assert.match(result.explanation, /Memory is short: the context is \d+ tokens/);
  assert.match(refused({ nodes, wish: { contextTokens: 4_096 } }).message, /context of 4096 tokens/);
});

test('R40: Ring takes neighbours, Mesh every pair', () => {
  const nodes = ['a', 'b', 'c', 'd'].map((name) => node(name, 2));
  const ring = [link('a', 'b'), link('b', 'c'), link('c', 'd'), link('d', 'a')];
  assert.equal(placed({ nodes, links: ring, wish: { minNodes: 4 } }).shards.length, 4);
  const mesh = refused({ nodes, links: ring, wish: { minNodes: 4, transport: 'Mesh' } });
  assert.deepEqual([mesh.code, mesh.canFitLater], ['not_connected', true]);
  const open = refused({ nodes, links: ring.slice(1), wish: { minNodes: 4 } });
  assert.equal(open.code, 'not_connected');
  const alone = refused({ nodes: nodes.slice(0, 3), links: [link('a', 'b')] });
  assert.equal(codeOf(alone, 'c'), 'not_connected');
});

test('R40: a link that one end reports as lost is lost', () => {
  const nodes = [node('a', 4), node('b', 4)];
  const links = [link('a', 'b'), link('b', 'a', { isConnected: false })];
  assert.equal(refused({ nodes, links }).code, 'not_connected');
});

test('R24, R38: what one end of a link has measured counts, of what both have the worse, and nonsense not at all', () => {
  const nodes = [node('a', 4), node('b', 4)];
  const tokenMs = (...links: LinkFacts[]) => placed({ nodes, links }).prediction;
  const unknown = { roundTripUs: null, bytesPerSecond: null };
  const measured = { roundTripUs: 300, bytesPerSecond: 1e9 };
  const both = tokenMs(link('a', 'b', measured), link('b', 'a', measured));
  assert.deepEqual(tokenMs(link('a', 'b', measured), link('b', 'a', unknown)), both);
  assert.deepEqual(tokenMs(link('b', 'a', unknown), link('a', 'b', measured)), both);
  const nonsense = { roundTripUs: -1, bytesPerSecond: 1e30 };
  assert.deepEqual(tokenMs(link('a', 'b', measured), link('b', 'a', nonsense)), both);
  const neither = tokenMs(link('a', 'b', unknown), link('b', 'a', nonsense));
  assert.ok(neither.tokenMs > both.tokenMs);
  const slower = tokenMs(link('a', 'b', measured), link('b', 'a', { ...measured, roundTripUs: 9_000 }));
  assert.ok(slower.tokenMs > both.tokenMs);
});

test('R38: of a mixture of experts a token reads what it uses, and a prompt all', () => {
  const mixture = { ...MODEL, work: { ...MODEL.work, layerReadBytes: each(0.02 * GIGABYTE) } };
  const of = (model: ModelShape) => placed({ nodes: [node('a', 8)], model }).prediction;
  const [dense, sparse] = [of(MODEL), of(mixture)];
  assert.ok(sparse.tokenMs < dense.tokenMs / 3, `${sparse.tokenMs} against ${dense.tokenMs}`);
  assert.equal(sparse.firstTokenMs, dense.firstTokenMs);
});

test('R38: what a prompt takes on a processor depends on the format, and attention on what computes it', () => {
  const of = (weightType: string | null, backends: readonly string[]) => {
    const model = { ...MODEL, work: { ...MODEL.work, weightType } };
    return placed({ nodes: [node('a', 8, { backends })], model }).prediction;
  };
  const [quantised, half] = [of('q4_K', ['cpu']), of('f16', ['cpu'])];
  assert.ok(half.firstTokenMs > 2.5 * quantised.firstTokenMs);
  assert.equal(half.tokenMs, quantised.tokenMs);
  assert.equal(of('q6_K', ['cpu']).firstTokenMs, of(null, ['cpu']).firstTokenMs);
  const card = ['metal', 'cpu'];
  assert.equal(of('f16', card).firstTokenMs, of('q4_K', card).firstTokenMs);
  assert.ok(of('q4_K', card).tokenMs < quantised.tokenMs);
});

test('R40: RDMA that is required and not there is an error, also where one node would do', () => {
  const nodes = [node('a', 8), node('b', 8), node('c', 8)];
  const without = refused({ nodes, wish: { requireRdma: true } });
  assert.deepEqual([without.code, without.canFitLater, codeOf(without, 'a')], ['no_rdma', false, 'no_rdma']);
  const links = [link('a', 'b'), link('b', 'c', { rdma: true }), link('a', 'c')];
  assert.deepEqual(usedBy(placed({ nodes, links, wish: { requireRdma: true } })).sort(), ['b', 'c']);
});

test('R38: slices only where they are faster by the measured links, or were asked for', () => {
  const nodes = [node('a', 8), node('b', 8)];
  const tensor: Partial<PlacementWish> = { sharding: 'Tensor' };
  const near = allLinked(nodes, { roundTripUs: 40 });
  const far = allLinked(nodes, { roundTripUs: 5_000 });
  assert.equal(placed({ nodes, links: near, wish: tensor }).shards.length, 2);
  const kept = placed({ nodes, links: far, wish: tensor });
  assert.equal(kept.shards.length, 1);
  assert.match(kept.explanation, /Slices over more nodes would be slower/);
  const forced = placed({ nodes, links: far, wish: { ...tensor, minNodes: 2 } });
  assert.ok(forced.prediction.tokenMs > kept.prediction.tokenMs);
  const whole = kept.shards[0]!.memory.weightsBytes;
  assert.ok(forced.shards.every(({ memory }) => memory.weightsBytes < 0.6 * whole));
});

test('R38: slices need dimensions that divide and a family that is known', () => {
  const nodes = ['a', 'b', 'c'].map((name) => node(name, 8));
  const wish: Partial<PlacementWish> = { sharding: 'Tensor', minNodes: 3 };
  const odd = refused({ nodes, wish });
  assert.equal(odd.code, 'cannot_be_sliced');
  assert.match(odd.message, /cannot be divided into 3 slices: its 16 heads do not divide by 3/);
  const slices = { canBeSliced: false, reason: 'its family is not known.' } as const;
  const model = { ...MODEL, slices };
  assert.match(refused({ nodes, wish: { ...wish, minNodes: 2 }, model }).message, /its family is not known/);
  const whole = placed({ nodes, wish: { sharding: 'Tensor' }, model });
  assert.match(whole.explanation, /cannot be divided into two slices: its family is not known/);
});

test('R36: a model that cannot be cut runs whole or not at all, with the reason', () => {
  const cuts = { canBeCut: false, reason: 'its layers use what others have computed.' } as const;
  const model = { ...MODEL, cuts };
  assert.equal(placed({ nodes: [node('a', 8), node('b', 8)], model }).shards.length, 1);
  const result = refused({ nodes: [node('a', 4), node('b', 4)], model });
  assert.deepEqual([result.code, result.canFitLater], ['cannot_be_cut', false]);
  assert.match(result.message, /cannot be cut into shards: its layers use/);
});

test('R37: nodes asked for by name are all used, or the answer names what is wrong with them', () => {
  const nodes = [node('a', 8), node('b', 8, { status: 'dead' }), node('c', 8)];
  const named = (...nodeIds: string[]): Partial<PlacementWish> => ({ nodeIds: nodeIds as NodeId[] });
  assert.deepEqual(usedBy(placed({ nodes, wish: named('c', 'a', 'c') })).sort(), ['a', 'c']);
  const dead = refused({ nodes, wish: named('a', 'b') });
  assert.deepEqual([dead.code, dead.canFitLater, codeOf(dead, 'b')], ['too_few_nodes', true, 'dead']);
  const unknown = refused({ nodes, wish: named('a', 'zebra') });
  assert.deepEqual([unknown.code, unknown.canFitLater], ['unknown_nodes', false]);
  assert.match(unknown.message, /zebra/);
  const more = refused({ nodes, wish: { ...named('a', 'c'), minNodes: 3 } });
  assert.equal(more.code, 'too_few_nodes');
});

test('without nodes there is no placement, and never was', () => {
  const result = refused({ nodes: [] });
  assert.deepEqual([result.code, result.canFitLater, result.nodes], ['no_nodes', false, []]);
});

test('R41: a refusal is a coded error with the reason of each node', () => {
  const fault = placementFault(refused({ nodes: [node('a', 2)] }));
  assert.equal(fault.code, 'placement_impossible');
  const details = fault.details as { cause: string; can_fit_later: boolean; nodes: { reason: string }[] };
  assert.deepEqual([details.cause, details.can_fit_later], ['too_large', false]);
  assert.match(details.nodes[0]!.reason, /can hold \d+ of 24 layers: 1\.9 GiB of 1\.9 GiB are free/);
});
