/** Asks placement on behalf of what a user wants: with the nodes of the state as they are, and what is placed already. */

import type { InstanceId, NodeId } from '../../shared/ids.js';
import { LIMITS } from '../../shared/limits.js';
import type { NodeSpeed } from '../../shared/nodeSpeed.js';
import { runnerIdOf } from '../applyInstance.js';
import { place } from '../placement/place.js';
import { takenMemory } from '../placement/takenMemory.js';
import type {
  ModelShape,
  NodeResources,
  Placement,
  PlacementRefusal,
  PlacementRequest,
} from '../placement/types.js';
import type { InstanceRecord, MetaInstanceWish, NodeRecord } from '../state.js';
import { hash } from './backoff.js';
import type { ReconcileInput } from './contract.js';

export interface PlacingOptions {
  /** Nodes that shall not be used. @default none */
  readonly without?: readonly NodeId[];
  /** Instances whose memory counts as free, because this placement would take their place. @default none */
  readonly instead?: readonly InstanceId[];
}

/** What placement rests on. */
export type Known = Pick<ReconcileInput, 'state' | 'links' | 'speeds'>;

/** What is wished for, with or without a name. */
export type Wish = Omit<MetaInstanceWish, 'metaInstanceId'>;

export function placeWish(
  input: Known,
  wish: Wish,
  model: ModelShape,
  options: PlacingOptions = {},
): Placement | PlacementRefusal {
  return place(placementRequest(input, wish, model, options));
}

export function placementRequest(
  { state, links, speeds }: Known,
  wish: Wish,
  model: ModelShape,
  { without = [], instead = [] }: PlacingOptions = {},
): PlacementRequest {
  const placed = [...state.instances.values()].filter(({ instanceId }) => !instead.includes(instanceId));
  const taken = takenMemory(placed);
  const nodes = [...state.nodes.values()]
    .filter(({ nodeId }) => !without.includes(nodeId))
    .map((node) => resourcesOf(node, taken.get(node.nodeId) ?? 0, speeds.get(node.nodeId), wish));
  return { model, nodes, links, wish: { ...wish, preferSpeed: false } };
}

function resourcesOf(
  node: NodeRecord,
  memoryTakenBytes: number,
  speed: NodeSpeed | undefined,
  { modelId }: Wish,
): NodeResources {
  return {
    nodeId: node.nodeId,
    name: node.name,
    status: node.status === 'alive' && node.isDraining ? 'draining' : node.status,
    memoryOfferedBytes: node.memoryBytes,
    memoryTakenBytes,
    memoryBytesPerSecond: speed?.memoryBytesPerSecond ?? null,
    operationsPerSecond: speed?.operationsPerSecond ?? null,
    hasModelFiles: node.models.includes(modelId),
    // Nothing brings files to a node yet.
    needsModelFiles: true,
    backends: node.memoryBytes > 0 ? ['cpu'] : [],
  };
}

/**
 * What a refusal rests on, in short: as long as it is the same, so is the answer. Every wish that waits asks for it in every
 * look, and with many nodes it takes milliseconds: it is made once for the same nodes, instances and links.
 */
export function circumstances({ state, links }: Pick<Known, 'state' | 'links'>): string {
  const { nodes, instances } = state;
  const before = MADE.get(nodes);
  if (before?.instances === instances && before.links === links) return before.text;
  const text = describe({ state, links });
  MADE.set(nodes, { instances, links, text });
  return text;
}

interface Made extends Pick<Known, 'links'>, Pick<Known['state'], 'instances'> {
  readonly text: string;
}

const MADE = new WeakMap<Known['state']['nodes'], Made>();

function describe({ state, links }: Pick<Known, 'state' | 'links'>): string {
  const taken = takenMemory(state.instances.values());
  const nodes = [...state.nodes.values()].map(
    ({ nodeId, status, isDraining, memoryBytes, models }) =>
      `${nodeId} ${status} ${isDraining} ${memoryBytes - (taken.get(nodeId) ?? 0)} ${models.join(' ')}`,
  );
  const ways = links.map(({ from, to, isConnected, rdma }) => `${from} ${to} ${isConnected} ${rdma}`);
  return hash([...nodes.sort(), ...ways.sort()].join('\n')).toString(16);
}

/** The instance of a placement. Its id tells the reign and the count, so that nobody else gives out the same. */
export function instanceOf(
  { reign }: Pick<ReconcileInput, 'reign'>,
  wish: MetaInstanceWish & { readonly placements: number },
  placement: Placement,
): InstanceRecord {
  const maker = `${reign.term}${reign.nodeId.slice(0, LIMITS.shortIdCharacters)}`;
  const instanceId = `${wish.metaInstanceId}-${maker}-${wish.placements + 1}` as InstanceId;
  return {
    instanceId,
    metaInstanceId: wish.metaInstanceId,
    modelId: wish.modelId,
    sharding: placement.sharding,
    transport: placement.transport,
    attempt: 1,
    failure: null,
    excused: 0,
    contextLength: placement.contextTokens,
    maxSequences: placement.sequences,
    cacheCells: placement.cacheCells,
    shards: placement.shards.map(({ rank, nodeId, startLayer, endLayer, memory }) => ({
      rank,
      worldSize: placement.shards.length,
      nodeId,
      runnerId: runnerIdOf(instanceId, 1, rank),
      startLayer,
      endLayer,
      memoryBytes: memory.totalBytes,
    })),
  };
}
