/**
 * Who is there, as one node sees it. A peer is heard when its pulses come and show that ours arrive over there; a
 * link that works in one direction only is no link. A peer that is not heard is alive as long as another heard peer
 * of the same reign vouches for it, suspect when nobody does, and dead when nobody did for the time of confirmation.
 */
import type { NodeId } from '../../shared/ids.js';
import { TIMES } from '../../shared/limits.js';
import type { NodeStatus } from '../state.js';
import type { Pulse } from './messages.js';
import { compareEpochs, type Epoch } from './position.js';

interface Peer {
  readonly incarnation: number;
  isLinked: boolean;
  /** When the last pulse came, or the link opened. */
  heardAt: number;
  /** When we sent the newest pulse that the peer has shown to have. */
  echoedAt: number;
  pulse: Pulse | null;
}

export class Membership {
  readonly #self: NodeId;
  readonly #peers = new Map<NodeId, Peer>();
  /** Since when nobody hears a node. */
  readonly #lostSince = new Map<NodeId, number>();
  /** When each of the newest pulses went out. */
  readonly #sentAt = new Map<number, number>();
  #counter = 0;

  constructor(self: NodeId) {
    this.#self = self;
  }

  /** The number of the next pulse; it counts as sent now. */
  countPulse(now: number): number {
    this.#counter += 1;
    this.#sentAt.set(this.#counter, now);
    this.#sentAt.delete(this.#counter - KEPT_PULSES);
    return this.#counter;
  }

  linkOpened(nodeId: NodeId, incarnation: number, now: number): void {
    const known = this.#peers.get(nodeId);
    const pulse = known?.incarnation === incarnation ? known.pulse : null;
    this.#peers.set(nodeId, {
      incarnation,
      isLinked: true,
      heardAt: now,
      echoedAt: now,
      pulse: pulse?.role === 'leaving' ? null : pulse,
    });
    this.#isBack(nodeId, now);
  }

  /** Whoever looks before the next tick shall not take it for lost once more. */
  #isBack(nodeId: NodeId, now: number): void {
    if (this.isHeard(nodeId, now)) this.#lostSince.delete(nodeId);
  }

  linkClosed(nodeId: NodeId): void {
    const peer = this.#peers.get(nodeId);
    if (peer !== undefined) peer.isLinked = false;
  }

  /** False for a pulse that is older than one that came before it, or that comes without a link. */
  pulseReceived(nodeId: NodeId, pulse: Pulse, now: number): boolean {
    const peer = this.#peers.get(nodeId);
    if (peer === undefined || !peer.isLinked || pulse.incarnation !== peer.incarnation) return false;
    if (peer.pulse !== null && pulse.counter <= peer.pulse.counter) return false;
    peer.pulse = pulse;
    peer.heardAt = now;
    peer.echoedAt = Math.max(peer.echoedAt, this.#sentAt.get(pulse.echo) ?? 0);
    this.#isBack(nodeId, now);
    return true;
  }

  /** The count of the newest pulse from this peer, which ours to it shall show. */
  echoFor(nodeId: NodeId): number {
    return this.#peers.get(nodeId)?.pulse?.counter ?? 0;
  }

  isLinked(nodeId: NodeId): boolean {
    return this.#peers.get(nodeId)?.isLinked ?? false;
  }

  linked(): NodeId[] {
    return [...this.#peers].filter(([, peer]) => peer.isLinked).map(([nodeId]) => nodeId);
  }

  /** Is the peer heard over a link of our own, in both directions? */
  isHeard(nodeId: NodeId, now: number): boolean {
    const peer = this.#peers.get(nodeId);
    if (peer === undefined || !peer.isLinked || peer.pulse?.role === 'leaving') return false;
    const silentMs = now - Math.min(peer.heardAt, peer.echoedAt + TIMES.pulseMs);
    return silentMs <= TIMES.suspectAfterMs;
  }

  /** The newest pulse of a peer that is heard. */
  heardPulse(nodeId: NodeId, now: number): Pulse | null {
    return this.isHeard(nodeId, now) ? (this.#peers.get(nodeId)?.pulse ?? null) : null;
  }

  /** The newest pulses of the peers that are heard. */
  heardPulses(now: number): [NodeId, Pulse][] {
    const heard: [NodeId, Pulse][] = [];
    for (const [nodeId, { pulse }] of this.#peers) {
      if (pulse !== null && this.isHeard(nodeId, now)) heard.push([nodeId, pulse]);
    }
    return heard;
  }

  /** A heard peer that hears this node; the one with the smallest id. */
  relayTo(nodeId: NodeId, reign: Epoch | null, now: number): NodeId | null {
    let relay: NodeId | null = null;
    for (const [peerId, pulse] of this.heardPulses(now)) {
      if (vouches(pulse, nodeId, reign) && (relay === null || peerId < relay)) relay = peerId;
    }
    return relay;
  }

  /** Takes another look at these nodes; to be called with every tick. */
  judge(nodeIds: Iterable<NodeId>, reign: Epoch | null, now: number): void {
    for (const nodeId of nodeIds) {
      if (nodeId === this.#self) continue;
      if (this.isHeard(nodeId, now) || this.relayTo(nodeId, reign, now) !== null) {
        this.#lostSince.delete(nodeId);
      } else if (!this.#lostSince.has(nodeId)) {
        this.#lostSince.set(nodeId, now);
      }
    }
  }

  status(nodeId: NodeId, now: number): NodeStatus {
    const since = this.#lostSince.get(nodeId);
    if (since === undefined) return 'alive';
    const hasLeft = this.#peers.get(nodeId)?.pulse?.role === 'leaving';
    return hasLeft || now - since >= TIMES.confirmDeathMs ? 'dead' : 'suspect';
  }

  /** This node itself stood still: nobody is to blame for what it did not hear in that time. */
  forgiveMs(pauseMs: number): void {
    for (const peer of this.#peers.values()) {
      peer.heardAt += pauseMs;
      peer.echoedAt += pauseMs;
    }
    for (const [nodeId, since] of this.#lostSince) this.#lostSince.set(nodeId, since + pauseMs);
  }

  forget(nodeId: NodeId): void {
    if (this.isLinked(nodeId)) return;
    this.#peers.delete(nodeId);
    this.#lostSince.delete(nodeId);
  }
}

/** Enough of our own pulses to date any echo that still counts. */
const KEPT_PULSES = 64;

/** A master is vouched for by whoever hears it; another node by a peer of our reign, which has the same list of nodes. */
function vouches(pulse: Pulse, nodeId: NodeId, reign: Epoch | null): boolean {
  if (pulse.claims.some((claim) => claim.epoch.nodeId === nodeId)) return true;
  if (reign === null || pulse.following === null || pulse.following.nodeId === nodeId) return false;
  return compareEpochs(pulse.following, reign) === 0 && !pulse.missing.includes(nodeId);
}
