/** Models and clusters of the sizes that people have, drawn from a seed. */
import type {
  LinkFacts,
  ModelShape,
  NodeResources,
  PlacementWish,
} from '../../src/control/placement/types.js';
import type { ModelId, NodeId } from '../../src/shared/ids.js';

const GIGABYTE = 1e9;

/** What somebody asks for who asks for nothing in particular. */
export const WISH: PlacementWish = {
  sharding: 'Pipeline',
  transport: 'Ring',
  minNodes: null,
  nodeIds: null,
  requireRdma: false,
  preferSpeed: false,
  contextTokens: 4_096,
  sequences: 4,
};

export interface Drawn {
  /** 0 to 1 */
  readonly number: () => number;
  readonly one: <T>(values: readonly T[]) => T;
}

/** Numbers that are the same for the same seed (mulberry32). */
export function drawFrom(seed: number): Drawn {
  let state = seed >>> 0;
  const number = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return { number, one: (values) => values[Math.floor(number() * values.length)]! };
}

/** @param gigabytes of all layers together, in a quantisation of about 4.5 bits */
export function modelOf(layers: number, gigabytes: number, hiddenSize: number): ModelShape {
  const each = (value: number): number[] => new Array<number>(layers).fill(value);
  const layerBytes = (gigabytes * GIGABYTE) / layers;
  const head = hiddenSize * 128_000 * 0.6;
  return {
    modelId: `${layers} layers, ${gigabytes} GB` as ModelId,
    layers,
    trainedContextTokens: 32_768,
    hiddenSize,
    weights: {
      layerBytes: each(layerBytes),
      embeddingBytes: head,
      firstShardBytes: 0,
      outputBytes: head,
      tiedHeadBytes: 0,
      commonBytes: 0,
    },
    cache: { cellBytes: each(4_096), sequenceBytes: each(0), cellMultiple: 256 },
    overhead: {
      fixedBytes: 80 * 2 ** 20,
      activationBytes: hiddenSize * 512 * 4 * 10,
      logitsRowBytes: 512_000,
      mostOutputRows: 512,
      bytesPerCell: 1_074,
      passedRowsBytes: hiddenSize * 512 * 4,
    },
    work: {
      weightType: 'q4_K',
      layerReadBytes: each(layerBytes),
      layerOperations: each((layerBytes / 0.56) * 2),
      headReadBytes: head,
      headOperations: (head / 0.6) * 2,
    },
    cuts: {
      canBeCut: true,
      cuts: Array.from({ length: layers - 1 }, (_, index) => index + 1),
      layers,
      refusedLayerCounts: [],
    },
    slices: { canBeSliced: true, dimensions: [{ name: 'KV heads', size: 8, unit: 1 }] },
  };
}

/** Bytes and operations a second of laptops, desktops, and machines with large chips or cards. */
const SPEEDS = [
  [30e9, 400e9],
  [60e9, 800e9],
  [100e9, 3e12],
  [200e9, 6e12],
  [400e9, 13e12],
  [900e9, 60e12],
] as const;

/** @param gigabytes offered: one of these for each node */
export function nodesOf(count: number, gigabytes: readonly number[], draw: Drawn): NodeResources[] {
  return Array.from({ length: count }, (_, index) => {
    const [memoryBytesPerSecond, operationsPerSecond] = draw.one(SPEEDS);
    const name = `n${String(index).padStart(3, '0')}`;
    return {
      nodeId: name as NodeId,
      name,
      status: 'alive',
      memoryOfferedBytes: draw.one(gigabytes) * GIGABYTE,
      memoryTakenBytes: 0,
      memoryBytesPerSecond: memoryBytesPerSecond * (0.8 + 0.4 * draw.number()),
      operationsPerSecond: operationsPerSecond * (0.8 + 0.4 * draw.number()),
      hasModelFiles: draw.number() < 0.5,
      backends: ['cpu'],
    };
  });
}

/** Between every pair: cables and Wi-Fi. */
export function linksOf(nodes: readonly NodeResources[], draw: Drawn): LinkFacts[] {
  return nodes.flatMap(({ nodeId: from }, at) =>
    nodes.slice(at + 1).map(({ nodeId: to }) => {
      const isCable = draw.number() < 0.7;
      return {
        from,
        to,
        isConnected: true,
        roundTripUs: (isCable ? 250 : 2_500) * (0.8 + 0.4 * draw.number()),
        bytesPerSecond: isCable ? 115e6 : 30e6,
        rdma: false,
      };
    }),
  );
}
