/** The role of this node: whether it rules or whom it follows, and when that changes. */
import type { NodeId } from '../../shared/ids.js';
import { TIMES } from '../../shared/limits.js';
import type { ControlEvent } from '../events.js';
import { compareClaims, greatestClaim, isFirstInLine } from './election.js';
import { eventsFor } from './facts.js';
import type { Ledger } from './ledger.js';
import type { Claim, Received, Role } from './messages.js';
import type { NodeContext } from './nodeContext.js';
import type { Ownership } from './ownership.js';
import type { Instant } from './ports.js';
import { compareEpochs, type Epoch } from './position.js';
import { Reign } from './reign.js';

export class Rule {
  readonly #context: NodeContext;
  readonly #ledger: Ledger;
  readonly #ownership: Ownership;
  /** The latest epoch that this node has heard of. */
  #latest: Epoch;
  #roleSince: number | null = null;
  #joinedAt = Number.NEGATIVE_INFINITY;

  /** @param term the highest that this node has ever claimed */
  constructor(context: NodeContext, ledger: Ledger, ownership: Ownership, term: number) {
    this.#context = context;
    this.#ledger = ledger;
    this.#ownership = ownership;
    this.#latest = { term, nodeId: context.self };
    this.noteEpoch(context.log.position.epoch);
  }

  noteEpoch(epoch: Epoch | null): void {
    if (epoch !== null && compareEpochs(epoch, this.#latest) > 0) this.#latest = epoch;
  }

  /** This node stood still: it was not in its role meanwhile, and listens before it rules on. */
  resumed(pauseMs: number, now: number): void {
    if (this.#roleSince !== null) this.#roleSince += pauseMs;
    this.#context.resumeAt = now + TIMES.resumeMs;
  }

  leave(now: number): void {
    this.#change('leaving', null, 'it was asked to', now);
  }

  consider(instant: Instant): void {
    const now = instant.monotonicMs;
    this.#roleSince ??= now;
    const inRoleMs = now - this.#roleSince;
    switch (this.#context.role) {
      case 'joining':
        if (this.#followGreatestClaim('it starts', now) || inRoleMs < TIMES.joinGraceMs) return;
        this.#change('electing', null, 'nobody that it hears rules', now);
        return;
      case 'electing':
        if (this.#followGreatestClaim('it looks for a master', now)) return;
        if (inRoleMs >= TIMES.electionDelayMs && this.#isNext(inRoleMs, now)) this.#take(instant);
        return;
      case 'follower':
        this.#considerMaster(inRoleMs, now);
        return;
      case 'master':
        this.#considerReign(instant);
        return;
      case 'leaving':
        return;
    }
  }

  #isNext(inRoleMs: number, now: number): boolean {
    const { membership, log, self } = this.#context;
    const line = { nodeId: self, position: log.position };
    return isFirstInLine(line, membership.heardPulses(now)) || inRoleMs >= TIMES.electionPatienceMs;
  }

  // To follow

  /** Follows the greatest reign that can be reached, if there is one. */
  #followGreatestClaim(why: string, now: number): boolean {
    const claim = this.#greatestOther(now);
    if (claim !== null) this.#follow(claim.epoch, why, now);
    return claim !== null;
  }

  #greatestOther(now: number): Claim | null {
    const { membership, self, epoch: reign } = this.#context;
    return greatestClaim(membership.heardPulses(now), ({ epoch: { nodeId } }) => {
      if (nodeId === self) return false;
      return membership.isHeard(nodeId, now) || membership.relayTo(nodeId, reign, now) !== null;
    });
  }

  #follow(epoch: Epoch, why: string, now: number): void {
    this.#context.reign = null;
    this.#context.isSynced = false;
    this.#change('follower', epoch, why, now);
    this.#join(now);
  }

  #join(now: number): void {
    const { epoch, log } = this.#context;
    if (epoch === null) return;
    this.#joinedAt = now;
    this.#context.joinedTerm = epoch.term;
    this.#context.mustJoinAgain = false;
    const facts = this.#ownership.everything();
    this.#context.send(epoch.nodeId, { kind: 'Join', epoch, position: log.position, facts }, now);
  }

  #considerMaster(inRoleMs: number, now: number): void {
    const { membership, epoch, isSynced } = this.#context;
    const master = (epoch as Epoch).nodeId;
    const status = membership.status(master, now);
    const heard = membership.heardPulse(master, now);
    const hasResigned = heard !== null && heard.role !== 'master';
    const isSilent = !isSynced && inRoleMs >= TIMES.followTimeoutMs;
    if (status === 'dead' || hasResigned || isSilent) {
      const why = status === 'dead' ? 'the master is gone' : 'the master does not rule any more';
      if (!isSilent && this.#followGreatestClaim(why, now)) return;
      this.#change('electing', null, why, now);
    } else if (this.#context.mustJoinAgain) {
      this.#follow(epoch as Epoch, 'its master rules anew, with another log', now);
    } else if (!isSynced && now - this.#joinedAt >= TIMES.reportRetryMs) this.#join(now);
  }

  /** Is this from the master that we follow? A later epoch of it is welcome, an earlier one is late. */
  isFromMaster(epoch: Epoch): boolean {
    const { role, epoch: followed } = this.#context;
    if (role !== 'follower' || followed === null || epoch.nodeId !== followed.nodeId) return false;
    if (epoch.term < followed.term) return false;
    this.#context.epoch = epoch;
    this.noteEpoch(epoch);
    return true;
  }

  // To rule

  #take({ monotonicMs, wallMs }: Instant): void {
    const epoch = this.#nextEpoch();
    this.#context.reign = new Reign(epoch, wallMs);
    this.#change('master', epoch, 'nobody that it hears has a newer log', monotonicMs);
    this.#begin(epoch, monotonicMs);
  }

  #nextEpoch(): Epoch {
    const epoch = { term: this.#latest.term + 1, nodeId: this.#context.self };
    this.#latest = epoch;
    this.#context.outputs.push({ kind: 'StoreTerm', term: epoch.term });
    return epoch;
  }

  #begin({ term }: Epoch, now: number): void {
    this.#ledger.append([{ kind: 'MasterElected', nodeId: this.#context.self, term }]);
    this.#ownership.reportDifference(now);
  }

  /** Goes on in a later epoch when a later one was heard of: what is appended now is newer than what was there. */
  #outrank(reign: Reign, now: number): void {
    if (compareEpochs(this.#latest, reign.epoch) <= 0) return;
    const epoch = this.#nextEpoch();
    reign.renew(epoch);
    this.#context.epoch = epoch;
    this.#context.isPulseUrgent = true;
    this.#begin(epoch, now);
  }

  /** A node follows from now on, with what it knows that this one may not. */
  joined(from: NodeId, { epoch, position, facts }: Received<'Join'>, now: number): void {
    const reign = this.#context.actingReign(now);
    if (reign === null || epoch.nodeId !== this.#context.self) return;
    this.noteEpoch(position.epoch);
    this.#outrank(reign, now);
    this.#ledger.append(eventsFor(this.#context.state, facts));
    this.#ledger.catchUp(from, position, now);
  }

  #considerReign({ monotonicMs: now, wallMs: at }: Instant): void {
    const reign = this.#context.reign as Reign;
    this.#countFollowers(reign, now);
    const own = this.#context.claim(now);
    const rival = this.#greatestOther(now);
    if (own !== null && rival !== null && compareClaims(rival, own) > 0) {
      this.#follow(rival.epoch, 'it met a greater cluster', now);
      return;
    }
    if (now < this.#context.resumeAt) return;
    this.#outrank(reign, now);
    const events: ControlEvent[] = [];
    for (const { nodeId, status } of this.#context.state.nodes.values()) {
      const judged = this.#judge(reign, nodeId, now);
      if (judged !== null && judged !== status) {
        events.push({ kind: 'NodeStatusChanged', nodeId, status: judged, at });
      }
    }
    this.#ledger.append(events);
  }

  /** Only a node that follows is alive: until it has joined, its facts are those of before. Null leaves it as it is. */
  #judge(reign: Reign, nodeId: NodeId, now: number): 'alive' | 'suspect' | 'dead' | null {
    if (nodeId === this.#context.self) return 'alive';
    const status = this.#context.membership.status(nodeId, now);
    return status === 'alive' && !reign.isFollowedBy(nodeId) ? null : status;
  }

  /** Who follows, by its own word; a word that came late is put right by the next one. */
  #countFollowers(reign: Reign, now: number): void {
    const { membership, log, self } = this.#context;
    for (const nodeId of [...reign.followers]) {
      if (membership.status(nodeId, now) === 'dead') reign.remove(nodeId);
    }
    for (const [nodeId, { following, position }] of membership.heardPulses(now)) {
      if (following?.nodeId !== self) reign.remove(nodeId);
      else if (!reign.isFollowedBy(nodeId) && log.entriesAfter(position) !== null) {
        this.#ledger.catchUp(nodeId, position, now);
      }
    }
  }

  #change(role: Role, epoch: Epoch | null, why: string, now: number): void {
    this.#context.role = role;
    this.#context.epoch = epoch;
    this.#roleSince = now;
    if (role !== 'master') this.#context.reign = null;
    this.#context.isPulseUrgent = true;
    this.#context.outputs.push({ kind: 'RoleChanged', role, epoch, why });
  }
}
