/**
 * Whether a connection that proved who is at its other end becomes the link to that node. Of two nodes, the one with
 * the smaller id decides when there are several connections, whoever dialled them: one process decides, so that both
 * ends always keep the same one.
 */
import type { NodeId } from '../../shared/ids.js';
import { type Farewell, farewell } from './farewell.js';

/** One process of a node. */
export interface Life {
  readonly nodeId: NodeId;
  readonly incarnation: number;
  readonly bootId: string;
}

export type Verdict =
  /** Take it; a present link gives way to it. */
  | { readonly kind: 'open' }
  /** There is a link to the same life: take the new one when the present does not answer any more. */
  | { readonly kind: 'probePresent' }
  | { readonly kind: 'refuse'; readonly farewell: Farewell };

const OPEN: Verdict = { kind: 'open' };

/**
 * @param present who is at the end of the open link to that node, or null
 * @param isFull no further node can be linked
 */
export function judge(self: Life, newcomer: Life, present: Life | null, isFull: boolean): Verdict {
  if (newcomer.nodeId === self.nodeId) {
    return refuse(newcomer.bootId === self.bootId ? 'self' : 'copiedHome');
  }
  if (present === null) return isFull ? refuse('full') : OPEN;
  if (newcomer.incarnation > present.incarnation) return OPEN;
  if (newcomer.incarnation < present.incarnation || newcomer.bootId !== present.bootId) {
    // The process of an earlier life is gone before the next one starts; this one lives beside it.
    return refuse('copiedHome');
  }
  return decides(self.nodeId, newcomer.nodeId) ? { kind: 'probePresent' } : OPEN;
}

/** Does the first of two nodes decide which connection is their link? */
export function decides(nodeId: NodeId, other: NodeId): boolean {
  return nodeId < other;
}

function refuse(code: Parameters<typeof farewell>[0]): Verdict {
  return { kind: 'refuse', farewell: farewell(code) };
}
