/**
 * What placement is asked, and what it answers: plain data. Numbers about nodes and links are what the nodes measured
 * themselves; what is missing or absurd in them is replaced by a cautious assumption (`costParameters.ts`).
 */
import type { ModelId, NodeId } from '../../shared/ids.js';
import type { LayerCuts, TensorSlices } from '../../shared/modelDivision.js';

export type Sharding = 'Pipeline' | 'Tensor';
export type Transport = 'Ring' | 'Mesh';

/** All that placement has to know of a model. Lists have one entry for each layer. */
export interface ModelShape {
  readonly modelId: ModelId;
  readonly layers: number;
  /** Longest context that it was trained for, in tokens; null when that is not known. */
  readonly trainedContextTokens: number | null;
  readonly hiddenSize: number;
  readonly weights: {
    readonly layerBytes: readonly number[];
    /** A whole model has them, and rank 0 of slices. */
    readonly embeddingBytes: number;
    /** What of them the first of several shards has: tokens it looks up in the file. */
    readonly firstShardBytes: number;
    /** Final norm and output matrix: the last shard has them. */
    readonly outputBytes: number;
    /** What the last of several shards has as well: embeddings that serve as output matrix; else 0. */
    readonly tiedHeadBytes: number;
    /** What every shard has. */
    readonly commonBytes: number;
  };
  readonly cache: {
    /** Of one KV cell. */
    readonly cellBytes: readonly number[];
    /** Of one sequence, whatever its length. */
    readonly sequenceBytes: readonly number[];
    /** The engine rounds the number of cells up to a multiple of this. */
    readonly cellMultiple: number;
  };
  /**
   * Process and compute buffers of a shard: `fixedBytes + max(activationBytes, logits) + logits + cells ×
   * bytesPerCell`, where `logits = min(sequences, mostOutputRows) × logitsRowBytes` in the last shard and 0 in others.
   * One of several shards has `passedRowsBytes` for what comes in, and as much for what goes out, the last one nothing.
   */
  readonly overhead: {
    readonly fixedBytes: number;
    readonly activationBytes: number;
    readonly logitsRowBytes: number;
    readonly mostOutputRows: number;
    readonly bytesPerCell: number;
    readonly passedRowsBytes: number;
  };
  /** What computing one token takes. */
  readonly work: {
    /** In which type of ggml, such as `q4_K`, most of the bytes of the layers are; null when that is not known. */
    readonly weightType: string | null;
    /** Weights that are read: of a mixture, only the experts that one token uses. */
    readonly layerReadBytes: readonly number[];
    /** Multiplications and additions. */
    readonly layerOperations: readonly number[];
    readonly headReadBytes: number;
    readonly headOperations: number;
  };
  readonly cuts: LayerCuts;
  readonly slices: TensorSlices;
}

type PlacementNodeStatus = 'alive' | 'suspect' | 'dead' | 'draining';

export interface NodeResources {
  readonly nodeId: NodeId;
  readonly name: string;
  readonly status: PlacementNodeStatus;
  /** For models, in all. */
  readonly memoryOfferedBytes: number;
  /** By instances that are placed there, placements in flight included (`takenMemory.ts`). */
  readonly memoryTakenBytes: number;
  /** As measured; null when it was not. */
  readonly memoryBytesPerSecond: number | null;
  /** Of matrix products: multiplications and additions; null when it was not measured. */
  readonly operationsPerSecond: number | null;
  readonly hasModelFiles: boolean;
  /** Without files it cannot come by them either. @default false */
  readonly needsModelFiles?: boolean;
  /** Of its engine, such as `cpu`; empty when no engine works there. */
  readonly backends: readonly string[];
}

/** What one node says of its way to another. Where both ends say something, the worse counts. */
export interface LinkFacts {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly isConnected: boolean;
  readonly roundTripUs: number | null;
  readonly bytesPerSecond: number | null;
  readonly rdma: boolean;
}

export interface PlacementWish {
  readonly sharding: Sharding;
  readonly transport: Transport;
  /** At least so many nodes, even where fewer are faster; null = as few as it takes. */
  readonly minNodes: number | null;
  /** These nodes, all of them and no others, even where fewer are faster; null = any. */
  readonly nodeIds: readonly NodeId[] | null;
  /** At least two nodes, and RDMA on every link that the transport needs. */
  readonly requireRdma: boolean;
  /** More nodes than it takes, where they make it faster. `Tensor` means this by itself. */
  readonly preferSpeed: boolean;
  /** Of one sequence in tokens; null = the default, shortened where memory is short. */
  readonly contextTokens: number | null;
  /** Side by side; null = the default. */
  readonly sequences: number | null;
}

export interface PlacementRequest {
  readonly model: ModelShape;
  readonly nodes: readonly NodeResources[];
  readonly links: readonly LinkFacts[];
  readonly wish: PlacementWish;
}

export interface ShardMemory {
  readonly weightsBytes: number;
  readonly cacheBytes: number;
  readonly overheadBytes: number;
  readonly totalBytes: number;
}

export interface PlacedShard {
  readonly rank: number;
  readonly nodeId: NodeId;
  /** Layers [start, end); all of them in a slice. */
  readonly startLayer: number;
  readonly endLayer: number;
  readonly memory: ShardMemory;
}

interface Prediction {
  /** Between two tokens of a single stream, in milliseconds. */
  readonly tokenMs: number;
  /**
   * Of it, what the busiest node or link does, in milliseconds: with as many streams as nodes or more, a step comes out each such
   * time. On one node, and of slices, all of `tokenMs`.
   */
  readonly longestStageMs: number;
  /** From a prompt of `CostParameters.promptTokens` to the first token, in milliseconds. */
  readonly firstTokenMs: number;
  /** Of the whole request that candidates are compared by, in milliseconds. */
  readonly requestMs: number;
  /** False when the speed of a node or link was assumed. */
  readonly isMeasured: boolean;
}

/** Why a node is used, or is not. */
export type VerdictCode =
  | 'used'
  | 'not_needed'
  | 'not_wished'
  | 'unknown'
  | 'dead'
  | 'suspect'
  | 'draining'
  | 'no_engine'
  | 'no_files'
  | 'no_memory'
  | 'too_little_memory'
  | 'not_connected'
  | 'no_rdma'
  | 'not_enough';

export interface NodeVerdict {
  readonly nodeId: NodeId;
  readonly name: string;
  readonly code: VerdictCode;
  /** For people: a sentence without its subject, the node. */
  readonly reason: string;
  readonly memoryOfferedBytes: number;
  readonly memoryFreeBytes: number;
}

export interface Placement {
  readonly kind: 'placed';
  readonly sharding: Sharding;
  readonly transport: Transport;
  /** Of one sequence, and sequences side by side. */
  readonly contextTokens: number;
  readonly sequences: number;
  /** KV cells that all sequences share: one full context at least. */
  readonly cacheCells: number;
  /** In the order of their ranks. */
  readonly shards: readonly PlacedShard[];
  readonly prediction: Prediction;
  /** For people: what was chosen and why. */
  readonly explanation: string;
  /** One for each node that is known. */
  readonly nodes: readonly NodeVerdict[];
}

export type RefusalCode =
  | 'too_large'
  | 'cannot_be_cut'
  | 'cannot_be_sliced'
  | 'too_few_nodes'
  | 'unknown_nodes'
  | 'not_connected'
  | 'no_rdma'
  | 'no_nodes';

export interface PlacementRefusal {
  readonly kind: 'refused';
  readonly code: RefusalCode;
  /** For people: what is asked, what there is, and what to do. */
  readonly message: string;
  /** True when it would fit if all known nodes were there, linked and empty. */
  readonly canFitLater: boolean;
  /** One for each node that is known, and each that was asked for. */
  readonly nodes: readonly NodeVerdict[];
}
