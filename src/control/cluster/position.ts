/**
 * Epochs and positions. An epoch is one reign of one master: its term, and its node, since without a quorum both sides
 * of a partition may count to the same term. Only the master of an epoch appends to it, and it appends after what it
 * had when the epoch began; so two logs that agree on the epoch of an index agree on everything up to it.
 */
import type { NodeId } from '../../shared/ids.js';

export interface Epoch {
  readonly term: number;
  readonly nodeId: NodeId;
}

/** The last entry of a log: its number, counted from 1, and the epoch that it was appended in. */
export interface Position {
  readonly index: number;
  readonly epoch: Epoch;
}

/** Before the first entry. */
export const ORIGIN: Position = { index: 0, epoch: { term: 0, nodeId: '' as NodeId } };

/** Negative when `a` is older. */
export function compareEpochs(a: Epoch, b: Epoch): number {
  if (a.term !== b.term) return a.term - b.term;
  if (a.nodeId === b.nodeId) return 0;
  return a.nodeId < b.nodeId ? -1 : 1;
}

/** Negative when the log that ends at `a` is older: the later epoch is newer, then the longer log. */
export function comparePositions(a: Position, b: Position): number {
  return compareEpochs(a.epoch, b.epoch) || a.index - b.index;
}

export function isSamePosition(a: Position, b: Position): boolean {
  return comparePositions(a, b) === 0;
}
