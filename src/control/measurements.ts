/** What the nodes measured of themselves and of the ways between them: newest values, never part of the state. */
import type { NodeId } from '../shared/ids.js';
import type { NodeSpeed } from '../shared/nodeSpeed.js';
import type { LinkFacts } from './placement/types.js';

export interface Measurements {
  /** Nodes without one are not linked. */
  readonly links: readonly LinkFacts[];
  /** A node without one has not measured itself, or was not heard yet. */
  readonly speeds: ReadonlyMap<NodeId, NodeSpeed>;
}

export const NOTHING_MEASURED: Measurements = { links: [], speeds: new Map() };
