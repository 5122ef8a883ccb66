/**
 * Which living nodes do not hear each other, and for how long: as the nodes themselves say in their pulses. A link that
 * changes its path is lost for a moment only; whoever acts on a loss waits for longer than that.
 */
import type { NodeId } from '../../shared/ids.js';
import type { LostLink } from '../reconcile/contract.js';
import type { NodeContext } from './nodeContext.js';

export class LinkWatch {
  readonly #context: NodeContext;
  readonly #lostSince = new Map<string, { readonly nodes: LostLink['nodes']; readonly since: number }>();

  constructor(context: NodeContext) {
    this.#context = context;
  }

  /** Takes another look; to be called with every tick. */
  look(now: number): void {
    const seen = new Set<string>();
    for (const nodes of this.#missing(now)) {
      const key = nodes.join(' ');
      seen.add(key);
      if (!this.#lostSince.has(key)) this.#lostSince.set(key, { nodes, since: now });
    }
    for (const key of this.#lostSince.keys()) if (!seen.has(key)) this.#lostSince.delete(key);
  }

  /** This node itself stood still: what it did not see in that time is no loss. */
  forgiveMs(pauseMs: number): void {
    for (const [key, lost] of this.#lostSince) {
      this.#lostSince.set(key, { ...lost, since: lost.since + pauseMs });
    }
  }

  lostLinks(now: number): LostLink[] {
    return [...this.#lostSince.values()].map(({ nodes, since }) => ({ nodes, lostForMs: now - since }));
  }

  *#missing(now: number): Generator<LostLink['nodes']> {
    const { state, self, membership } = this.#context;
    const isAlive = (nodeId: NodeId) => state.nodes.get(nodeId)?.status === 'alive';
    for (const [nodeId, { missing }] of membership.heardPulses(now)) {
      if (!isAlive(nodeId)) continue;
      for (const other of missing) if (isAlive(other)) yield inOrder(nodeId, other);
    }
    for (const nodeId of state.nodes.keys()) {
      if (nodeId !== self && isAlive(nodeId) && !membership.isHeard(nodeId, now)) yield inOrder(self, nodeId);
    }
  }
}

function inOrder(a: NodeId, b: NodeId): LostLink['nodes'] {
  return a < b ? [a, b] : [b, a];
}
