/** That this node is there, said in pulses, and whom it takes for alive, judged by those of the others. */
import type { NodeId } from '../../shared/ids.js';
import { TIMES } from '../../shared/limits.js';
import type { NodeStatus } from '../state.js';
import type { Claim, Pulse } from './messages.js';
import type { NodeContext } from './nodeContext.js';

export class Presence {
  readonly #context: NodeContext;
  readonly #judged = new Map<NodeId, NodeStatus>();
  #pulsedAt = Number.NEGATIVE_INFINITY;

  constructor(context: NodeContext) {
    this.#context = context;
  }

  /** Takes another look at everybody who matters. */
  judge(taskNodes: ReadonlySet<NodeId>, now: number): void {
    const { state, membership, epoch, self, outputs } = this.#context;
    const nodeIds = new Set([...state.nodes.keys(), ...membership.linked(), ...taskNodes]);
    if (epoch !== null) nodeIds.add(epoch.nodeId);
    nodeIds.delete(self);
    membership.judge(nodeIds, epoch, now);
    for (const nodeId of nodeIds) {
      const status = membership.status(nodeId, now);
      if ((this.#judged.get(nodeId) ?? 'alive') === status) continue;
      this.#judged.set(nodeId, status);
      this.#context.isPulseUrgent = true;
      outputs.push({ kind: 'PeerJudged', nodeId, status });
    }
    for (const nodeId of this.#judged.keys()) {
      if (nodeIds.has(nodeId)) continue;
      this.#judged.delete(nodeId);
      membership.forget(nodeId);
    }
  }

  isPulseDue(now: number): boolean {
    return now - this.#pulsedAt >= TIMES.pulseMs;
  }

  /** Says what is news, unless that was said a moment ago: nodes that answer each other must not excite each other. */
  pulseIfUrgent(now: number): void {
    if (this.#context.isPulseUrgent && now - this.#pulsedAt >= TIMES.pulseGapMs) this.#pulse(now);
  }

  #pulse(now: number): void {
    const { membership, node, role, epoch, log, self, state, outputs } = this.#context;
    this.#context.isPulseUrgent = false;
    this.#pulsedAt = now;
    const pulse: Omit<Pulse, 'echo'> = {
      kind: 'Pulse',
      incarnation: node.incarnation,
      counter: membership.countPulse(now),
      role,
      following: epoch,
      claims: this.#claims(now),
      position: log.position,
      missing: [...state.nodes.keys()].filter(
        (nodeId) => nodeId !== self && !membership.isHeard(nodeId, now),
      ),
    };
    for (const to of membership.linked()) {
      outputs.push({ kind: 'Send', to, message: { ...pulse, echo: membership.echoFor(to) } });
    }
  }

  /** The reigns that this node knows of at first hand. */
  #claims(now: number): Claim[] {
    const { membership } = this.#context;
    const own = this.#context.claim(now);
    const claims = own === null ? [] : [own];
    for (const [nodeId, pulse] of membership.heardPulses(now)) {
      const claim = pulse.claims.find(({ epoch }) => epoch.nodeId === nodeId);
      if (claim !== undefined) claims.push(claim);
    }
    return claims;
  }
}
