/**
 * Who rules. Without a quorum, so that two machines are a cluster and one is: a node that hears of no living master
 * takes the rule when nobody whom it hears has a newer log. Two masters can therefore be, in a partition; when they
 * hear of each other, both compare the same two claims and the lesser one follows.
 */
import type { NodeId } from '../../shared/ids.js';
import type { Claim, Pulse } from './messages.js';
import { compareEpochs, comparePositions, type Position } from './position.js';

/**
 * Positive when `a` stays and `b` gives way: more members, then the longer reign, then the later epoch. The wall clocks
 * of two nodes may differ, but all compare the same numbers, so all come to the same end.
 */
export function compareClaims(a: Claim, b: Claim): number {
  return a.members - b.members || b.since - a.since || compareEpochs(a.epoch, b.epoch);
}

/** The greatest claim that heard peers tell of, among those that can be followed. */
export function greatestClaim(
  pulses: readonly (readonly [NodeId, Pulse])[],
  canFollow: (claim: Claim) => boolean,
): Claim | null {
  let greatest: Claim | null = null;
  for (const [, pulse] of pulses) {
    for (const claim of pulse.claims) {
      if (canFollow(claim) && (greatest === null || compareClaims(claim, greatest) > 0)) greatest = claim;
    }
  }
  return greatest;
}

/** Is there nobody with a newer log, or with one as new and a smaller id? */
export function isFirstInLine(
  self: { readonly nodeId: NodeId; readonly position: Position },
  pulses: readonly (readonly [NodeId, Pulse])[],
): boolean {
  return pulses.every(([nodeId, { position }]) => {
    const difference = comparePositions(position, self.position);
    return difference < 0 || (difference === 0 && self.nodeId < nodeId);
  });
}
