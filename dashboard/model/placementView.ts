/** What placement answers, as the page shows it: for each node what it would take, or why it takes nothing. */
import { formatBytes } from '../../src/shared/bytes.js';
import { ApiError, type PageFault, toPageFault } from './api.js';
import { nodeName, type Tone } from './clusterView.js';
import { formatLayers } from './format.js';
import { roomOfNodes } from './modelChoices.js';
import type { PageState } from './wire.js';

interface PlacedShardJson {
  readonly rank: number;
  readonly node_id: string;
  readonly start_layer: number;
  readonly end_layer: number;
  readonly memory_bytes: number;
  readonly memory?: {
    readonly weights_bytes: number;
    readonly cache_bytes: number;
    readonly overhead_bytes: number;
  };
}

interface VerdictJson {
  readonly node_id: string;
  readonly name: string;
  readonly code: string;
  readonly reason: string;
  readonly offered_bytes?: number;
  readonly free_bytes?: number;
}

/** The answer of `GET /instance/placement`. */
export interface PlacementJson {
  readonly model_id: string;
  readonly sharding: string;
  readonly transport: string;
  readonly context_length: number;
  readonly max_sequences: number;
  readonly cache_cells: number;
  readonly shards: readonly PlacedShardJson[];
  readonly explanation?: string;
  readonly nodes?: readonly VerdictJson[];
}

/** One of `GET /instance/previews`. */
export interface PreviewJson {
  readonly sharding: 'Pipeline' | 'Tensor';
  readonly transport: 'Ring' | 'Mesh';
  readonly min_nodes: number;
  readonly instance: PlacementJson | null;
  readonly error: { readonly code: string; readonly message: string; readonly details?: object } | null;
}

export type PlacementAnswer =
  | { readonly kind: 'placed'; readonly placement: PlacementJson }
  | {
      readonly kind: 'refused';
      readonly message: string;
      /** It may be declared all the same, and waits. */
      readonly canFitLater: boolean;
      readonly verdicts: readonly VerdictJson[];
    }
  | { readonly kind: 'failed'; readonly fault: PageFault };

/** What a call for a placement threw. */
export function readRefusal(error: unknown): PlacementAnswer {
  const fault = toPageFault(error);
  if (!(error instanceof ApiError) || fault.code !== 'placement_impossible') return { kind: 'failed', fault };
  const { can_fit_later: canFitLater, nodes } = fault.details ?? {};
  return {
    kind: 'refused',
    message: fault.message,
    canFitLater: canFitLater === true,
    verdicts: Array.isArray(nodes) ? (nodes as VerdictJson[]) : [],
  };
}

/** A node in the answer. */
export interface NodeRow {
  readonly nodeId: string;
  readonly name: string;
  readonly tone: Tone;
  /** In a few words, for its card. */
  readonly short: string;
  /** A sentence without its subject, the node. */
  readonly reason: string;
  readonly isUsed: boolean;
  /** Layers that it would take, such as `layers 0–3`. */
  readonly layers: string | null;
  /** What it offers, and the parts of that: by other models, by this one. */
  readonly offeredBytes: number;
  readonly takenBytes: number;
  readonly neededBytes: number;
  /** Of what is needed: weights, KV cache, the rest. */
  readonly parts: { readonly weights: number; readonly cache: number; readonly overhead: number } | null;
}

const SHORT: Readonly<Record<string, string>> = {
  not_needed: 'not needed',
  not_wished: 'not chosen',
  unknown: 'not known',
  dead: 'dead',
  suspect: 'not heard from',
  draining: 'stopping',
  no_engine: 'no engine',
  no_files: 'has no file of it',
  no_memory: 'no memory left',
  too_little_memory: 'too little memory',
  not_connected: 'not linked',
  no_rdma: 'no RDMA',
  not_enough: 'not enough alone',
};
const HARMLESS: ReadonlySet<string> = new Set(['not_needed', 'not_wished', 'not_enough']);

/** One row for each node: those that are used first, in pipeline order. */
export function nodeRows(state: PageState, answer: PlacementAnswer): NodeRow[] {
  if (answer.kind === 'failed') return [];
  const shards = answer.kind === 'placed' ? answer.placement.shards : [];
  const verdicts = answer.kind === 'placed' ? (answer.placement.nodes ?? []) : answer.verdicts;
  const used = shards.map((shard) =>
    usedRow(
      state,
      shard,
      verdicts.find(({ node_id: nodeId }) => nodeId === shard.node_id),
    ),
  );
  const others = verdicts
    .filter(({ node_id: nodeId }) => !shards.some((shard) => shard.node_id === nodeId))
    .map((verdict) => otherRow(state, verdict));
  return [...used, ...others];
}

function usedRow(state: PageState, shard: PlacedShardJson, verdict: VerdictJson | undefined): NodeRow {
  const { memory, memory_bytes: neededBytes } = shard;
  const layers = formatLayers(shard.start_layer, shard.end_layer);
  const offeredBytes = verdict?.offered_bytes ?? neededBytes;
  return {
    nodeId: shard.node_id,
    name: nodeName(state, shard.node_id),
    tone: 'good',
    short: `${layers}, ${formatBytes(neededBytes)}`,
    reason: verdict?.reason ?? `takes ${layers}`,
    isUsed: true,
    layers,
    offeredBytes,
    takenBytes: Math.max(0, offeredBytes - (verdict?.free_bytes ?? offeredBytes)),
    neededBytes,
    parts: memory
      ? { weights: memory.weights_bytes, cache: memory.cache_bytes, overhead: memory.overhead_bytes }
      : null,
  };
}

function otherRow(state: PageState, verdict: VerdictJson): NodeRow {
  const offeredBytes = verdict.offered_bytes ?? 0;
  return {
    nodeId: verdict.node_id,
    name: state.nodes[verdict.node_id] === undefined ? verdict.name : nodeName(state, verdict.node_id),
    tone: HARMLESS.has(verdict.code) ? 'off' : 'warning',
    short: SHORT[verdict.code] ?? 'not used',
    reason: verdict.reason,
    isUsed: false,
    layers: null,
    offeredBytes,
    takenBytes: Math.max(0, offeredBytes - (verdict.free_bytes ?? offeredBytes)),
    neededBytes: 0,
    parts: null,
  };
}

/** The machines before anything is known of a placement. */
export function idleRows(state: PageState): NodeRow[] {
  const rooms = new Map(roomOfNodes(state).map((room) => [room.nodeId, room]));
  return Object.values(state.nodes).map((node) => {
    const room = rooms.get(node.node_id);
    const reason =
      room === undefined
        ? node.status === 'alive'
          ? 'takes no model'
          : `is ${node.status}`
        : `${formatBytes(room.freeBytes)} of ${formatBytes(room.offeredBytes)} are free`;
    return {
      nodeId: node.node_id,
      name: nodeName(state, node.node_id),
      tone: room === undefined ? 'warning' : 'off',
      short: reason,
      reason,
      isUsed: false,
      layers: null,
      offeredBytes: room?.offeredBytes ?? 0,
      takenBytes: room === undefined ? 0 : room.offeredBytes - room.freeBytes,
      neededBytes: 0,
      parts: null,
    };
  });
}

/** What placement rests on, as far as the page knows it: when it changes, it is worth asking again. */
export function circumstancesOf(state: PageState): string {
  return JSON.stringify([
    Object.values(state.nodes).map(({ node_id: id, status, is_draining, memory_bytes }) => [
      id,
      status,
      is_draining,
      memory_bytes,
    ]),
    Object.keys(state.instances),
  ]);
}
