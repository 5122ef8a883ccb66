/** What placement says in tests: a model on two nodes, and a model that fits nowhere. */
import type { NodeVerdict, Placement, PlacementRefusal, VerdictCode } from '../../control/placement/types.js';
import type { NodeId } from '../../shared/ids.js';

const GIB = 2 ** 30;

function verdict(nodeId: string, name: string, code: VerdictCode, reason: string): NodeVerdict {
  return {
    nodeId: nodeId as NodeId,
    name,
    code,
    reason,
    memoryOfferedBytes: 2 * GIB,
    memoryFreeBytes: GIB,
  };
}

function shard(rank: number, nodeId: string, startLayer: number, endLayer: number) {
  const memory = { weightsBytes: 60, cacheBytes: 30, overheadBytes: 10, totalBytes: 100 };
  return { rank, nodeId: nodeId as NodeId, startLayer, endLayer, memory };
}

export const PLACED: Placement = {
  kind: 'placed',
  sharding: 'Pipeline',
  transport: 'Ring',
  contextTokens: 4_096,
  sequences: 16,
  cacheCells: 8_192,
  shards: [shard(0, 'n1', 0, 5), shard(1, 'n2', 5, 8)],
  prediction: { tokenMs: 2, longestStageMs: 2, firstTokenMs: 30, requestMs: 400, isMeasured: false },
  explanation: 'Two nodes: it does not fit on one.',
  nodes: [
    verdict('n1', 'desk', 'used', 'holds layers 0 to 4'),
    verdict('n2', 'old', 'used', 'holds the rest'),
  ],
};

const NO_ROOM = 'cannot hold even the smallest shard: 1.0 GiB of 2.0 GiB are free';

export const REFUSED: PlacementRefusal = {
  kind: 'refused',
  code: 'too_large',
  message: 'tiny needs 5.0 GiB, and the only node that can be used has 1.0 GiB free.',
  canFitLater: false,
  nodes: [verdict('n1', 'desk', 'too_little_memory', NO_ROOM)],
};
