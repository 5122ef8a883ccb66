/** What would happen: each way to place a model that a user can ask for, with memory by node, or the refusal (R41). */
import { LIMITS } from '../../shared/limits.js';
import { candidatesOf } from './exclusions.js';
import { place } from './place.js';
import type { Placement, PlacementRefusal, PlacementRequest, Sharding, Transport } from './types.js';

export interface PlacementPreview {
  readonly sharding: Sharding;
  readonly transport: Transport;
  /** How many are asked for. */
  readonly minNodes: number;
  readonly result: Placement | PlacementRefusal;
}

/**
 * One at a time, so that the caller can see to other work between two of them. One node first, then each number of nodes up to `LIMITS.previewNodes` with each sharding and transport.
 * @param request its wish says the rest: nodes, context, sequences, RDMA
 */
export function* previews(request: PlacementRequest): Generator<PlacementPreview> {
  for (const minNodes of nodeCounts(request)) {
    for (const sharding of ['Pipeline', 'Tensor'] as const) {
      for (const transport of ['Ring', 'Mesh'] as const) {
        // On one node neither makes a difference.
        if (minNodes === 1 && (sharding !== 'Pipeline' || transport !== 'Ring')) continue;
        yield preview(request, sharding, transport, minNodes);
      }
    }
  }
}

function nodeCounts({ wish, nodes }: PlacementRequest): number[] {
  if (wish.nodeIds !== null) return [Math.max(1, new Set(wish.nodeIds).size)];
  const usable = candidatesOf(nodes, wish).usable.length;
  const most = Math.min(LIMITS.previewNodes, Math.max(1, usable));
  return Array.from({ length: most }, (_, index) => index + 1);
}

function preview(
  request: PlacementRequest,
  sharding: Sharding,
  transport: Transport,
  minNodes: number,
): PlacementPreview {
  const wish = { ...request.wish, sharding, transport, minNodes, preferSpeed: false };
  return { sharding, transport, minNodes, result: place({ ...request, wish }) };
}
