/**
 * Reconcilers compare what is with what should be and say what to do now. Level, not edge: they look at the state
 * alone, so that a decision that was lost is made again, and one that was made is not made twice.
 */

import type { NodeId } from '../../shared/ids.js';
import type { Epoch } from '../cluster/position.js';
import type { ControlEvent } from '../events.js';
import type { Measurements } from '../measurements.js';
import type { ClusterState } from '../state.js';

/** Two living nodes that do not hear each other, by whatever path. */
export interface LostLink {
  readonly nodes: readonly [NodeId, NodeId];
  readonly lostForMs: number;
}

export interface ReconcileInput extends Measurements {
  readonly state: ClusterState;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** As the nodes say it of each other now. */
  readonly lostLinks: readonly LostLink[];
  /** The reign in which this is decided: part of the ids that are given out, so that no two are the same. */
  readonly reign: Epoch;
}

/** The next events, none when all is as it should be. Called again with the state that they lead to. */
export type Reconciler = (input: ReconcileInput) => ControlEvent[];
