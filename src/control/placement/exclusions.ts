/** Which nodes placement may use at all, and why not the others. */
import { formatBytes } from '../../shared/bytes.js';
import type { NodeId } from '../../shared/ids.js';
import { byNodeId, freeBytesOf } from './machines.js';
import type { NodeResources, NodeVerdict, PlacementWish, VerdictCode } from './types.js';

export interface Candidates {
  readonly usable: readonly NodeResources[];
  readonly excluded: readonly NodeVerdict[];
  /** Asked for by id, and not known. */
  readonly unknown: readonly NodeId[];
}

/** Each node once, in the order of their ids. */
export function candidatesOf(nodes: readonly NodeResources[], wish: PlacementWish): Candidates {
  const sorted = [...nodes].sort(byNodeId).filter((node, at, all) => node.nodeId !== all[at - 1]?.nodeId);
  const known = new Set(sorted.map(({ nodeId }) => nodeId));
  const unknown = [...new Set(wish.nodeIds ?? [])].filter((nodeId) => !known.has(nodeId)).sort();
  const usable: NodeResources[] = [];
  const excluded: NodeVerdict[] = [];
  for (const node of sorted) {
    const exclusion = exclusionOf(node, wish);
    if (exclusion === null) usable.push(node);
    else excluded.push(verdict(node, ...exclusion));
  }
  const strangers = unknown.map((nodeId): NodeVerdict => {
    const reason = 'was asked for, and no node of this id is known';
    return { nodeId, name: nodeId, code: 'unknown', reason, memoryOfferedBytes: 0, memoryFreeBytes: 0 };
  });
  return { usable, excluded: [...excluded, ...strangers], unknown };
}

/** As if all had come back, were empty, had the files, and had nothing else to do (R34). */
export function asIfEmpty(nodes: readonly NodeResources[]): NodeResources[] {
  return nodes.map((node) => ({
    ...node,
    status: 'alive',
    memoryTakenBytes: 0,
    needsModelFiles: false,
  }));
}

export function verdict(node: NodeResources, code: VerdictCode, reason: string): NodeVerdict {
  return {
    nodeId: node.nodeId,
    name: node.name,
    code,
    reason,
    memoryOfferedBytes: node.memoryOfferedBytes,
    memoryFreeBytes: freeBytesOf(node),
  };
}

function exclusionOf(node: NodeResources, { nodeIds }: PlacementWish): [VerdictCode, string] | null {
  if (nodeIds !== null && !nodeIds.includes(node.nodeId))
    return ['not_wished', 'is not among the nodes asked for'];
  if (node.status === 'dead') return ['dead', 'is dead'];
  if (node.status === 'suspect') return ['suspect', 'has not been heard from for a moment and may be dead'];
  if (node.status === 'draining') return ['draining', 'is stopping'];
  if (node.backends.length === 0) return ['no_engine', 'has no engine that works'];
  if (node.needsModelFiles === true && !node.hasModelFiles)
    return ['no_files', "does not have the model's files"];
  if (!(node.memoryOfferedBytes > 0)) return ['no_memory', 'offers no memory to models'];
  if (freeBytesOf(node) === 0) {
    return [
      'no_memory',
      `has none of its ${formatBytes(node.memoryOfferedBytes)} left: instances take it all`,
    ];
  }
  return null;
}
