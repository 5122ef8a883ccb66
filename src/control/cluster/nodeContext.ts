/** What the parts of a node's core share: who it is, what it knows, what its standing is, and what it says. */
import type { NodeId } from '../../shared/ids.js';
import { type Measurements, NOTHING_MEASURED } from '../measurements.js';
import type { ClusterState, NodeFact } from '../state.js';
import type { ControlLog } from './controlLog.js';
import { Membership } from './membership.js';
import type { Claim, PeerMessage, Role } from './messages.js';
import type { NodeOutput } from './ports.js';
import type { Epoch } from './position.js';
import type { Reign } from './reign.js';

export class NodeContext {
  readonly self: NodeId;
  readonly log: ControlLog;
  readonly membership: Membership;
  node: NodeFact;
  role: Role = 'joining';
  /** The reign that this node follows, or its own. */
  epoch: Epoch | null = null;
  /** Its own reign, while it rules. */
  reign: Reign | null = null;
  /** Has the master's log arrived since this node follows it? */
  isSynced = false;
  /** The term of the master's reign in which this node last told it everything. */
  joinedTerm = 0;
  /** The master goes on in another reign, perhaps after a new start, with a log that ours is no beginning of. */
  mustJoinAgain = false;
  /** A master that stood still does not decide before this. */
  resumeAt = 0;
  /** The newest of all nodes. */
  measured: Measurements = NOTHING_MEASURED;
  /** Something was decided that may bear on what should run. */
  isUnreconciled = false;
  /** Something in the next pulse is news. */
  isPulseUrgent = false;
  outputs: NodeOutput[] = [];

  constructor(node: NodeFact, log: ControlLog) {
    this.self = node.nodeId;
    this.node = node;
    this.log = log;
    this.membership = new Membership(node.nodeId);
  }

  get state(): ClusterState {
    return this.log.state;
  }

  /** Is the state that of a living master, this node's own included? */
  get isUpToDate(): boolean {
    return this.role === 'master' || (this.role === 'follower' && this.isSynced);
  }

  /** The rule as it may be used now: not while a master that stood still listens whether it still has it. */
  actingReign(now: number): Reign | null {
    return now < this.resumeAt ? null : this.reign;
  }

  /** What this node, when it rules, holds against another master. After it stood still it does not know who follows. */
  claim(now: number): Claim | null {
    if (this.reign === null) return null;
    const { claim } = this.reign;
    return now < this.resumeAt ? { ...claim, members: 0 } : claim;
  }

  /** Straight, or through a peer that hears the receiver when this node does not. */
  send(to: NodeId, message: PeerMessage, now: number): void {
    const isHeard = this.membership.isHeard(to, now);
    const relay = isHeard ? null : this.membership.relayTo(to, this.epoch, now);
    if (relay === null || relay === to) this.outputs.push({ kind: 'Send', to, message });
    else {
      const relayed: PeerMessage = { kind: 'Relay', from: this.self, to, message };
      this.outputs.push({ kind: 'Send', to: relay, message: relayed });
    }
  }
}
