/** What instances take of each node's memory (R31, R39). */
import type { NodeId } from '../../shared/ids.js';

interface Placed {
  readonly shards: readonly { readonly nodeId: NodeId; readonly memoryBytes: number }[];
}

/**
 * @param placed instances of the state and placements whose instance does not stand there yet, each once
 * @returns bytes; a node without shards has no entry
 */
export function takenMemory(placed: Iterable<Placed>): ReadonlyMap<NodeId, number> {
  const taken = new Map<NodeId, number>();
  for (const { shards } of placed) {
    for (const { nodeId, memoryBytes } of shards) taken.set(nodeId, (taken.get(nodeId) ?? 0) + memoryBytes);
  }
  return taken;
}
