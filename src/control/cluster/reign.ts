/**
 * The master's side of replication: how far each follower is, what to send it next, and which answers wait until the
 * followers have what they rest on.
 */
import type { NodeId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import type { CommandAnswer } from './commands.js';
import type { ControlLog } from './controlLog.js';
import type { Claim, PeerMessage } from './messages.js';
import { compareEpochs, type Epoch, type Position } from './position.js';

interface Follower {
  /** Up to where the log was sent; what comes next starts here. */
  sent: Position;
  acknowledgedIndex: number;
}

interface WaitingAnswer {
  readonly from: NodeId;
  readonly key: string;
  readonly answer: CommandAnswer;
  /** The answer may go out when everybody has this entry, or at this time. */
  readonly index: number;
  readonly until: number;
}

export class Reign {
  #epoch: Epoch;
  readonly #began: Epoch;
  readonly #followers = new Map<NodeId, Follower>();
  #waiting: WaitingAnswer[] = [];
  #flushedIndex = 0;

  /** When it began, in ms since the epoch. */
  readonly since: number;

  constructor(epoch: Epoch, since: number) {
    this.#epoch = epoch;
    this.since = since;
    this.#began = epoch;
  }

  get epoch(): Epoch {
    return this.#epoch;
  }

  /** The same master goes on in a later epoch, so that its log is newer than any that it heard of. */
  renew(epoch: Epoch): void {
    this.#epoch = epoch;
  }

  get claim(): Claim {
    return { epoch: this.#epoch, members: this.members, since: this.since };
  }

  /** Followers and the master itself. */
  get members(): number {
    return this.#followers.size + 1;
  }

  get followers(): IterableIterator<NodeId> {
    return this.#followers.keys();
  }

  isFollowedBy(nodeId: NodeId): boolean {
    return this.#followers.has(nodeId);
  }

  remove(nodeId: NodeId): void {
    this.#followers.delete(nodeId);
  }

  /** A log that ends before this reign has nothing that an answer waits for, whatever its length. */
  acknowledged(nodeId: NodeId, position: Position): void {
    const follower = this.#followers.get(nodeId);
    if (follower === undefined || compareEpochs(position.epoch, this.#began) < 0) return;
    follower.acknowledgedIndex = Math.max(follower.acknowledgedIndex, position.index);
  }

  flushed(index: number): void {
    this.#flushedIndex = Math.max(this.#flushedIndex, index);
  }

  /** What brings a follower whose log ends at `position` up to date; it follows from now on. */
  catchUp(nodeId: NodeId, position: Position, log: ControlLog): PeerMessage {
    this.#followers.set(nodeId, { sent: log.position, acknowledgedIndex: 0 });
    return this.#newsSince(position, log, true);
  }

  /** What one message can carry: a failure brings the last words of its runner, and many are longer than any may be. */
  #newsSince(position: Position, log: ControlLog, acknowledge: boolean): PeerMessage {
    const entries = log.entriesAfter(position);
    return entries === null || entries.length > LIMITS.appendEntries
      ? { kind: 'Install', epoch: this.#epoch, replaces: position, snapshot: log.snapshot() }
      : { kind: 'Append', epoch: this.#epoch, previous: position, entries, acknowledge };
  }

  /** What is new for each follower since the last time. */
  *news(log: ControlLog): Generator<[NodeId, PeerMessage]> {
    const acknowledge = this.#waiting.length > 0;
    for (const [nodeId, follower] of this.#followers) {
      if (follower.sent.index === log.position.index) continue;
      const message = this.#newsSince(follower.sent, log, acknowledge);
      follower.sent = log.position;
      yield [nodeId, message];
    }
  }

  wait(answer: Omit<WaitingAnswer, 'until'>, now: number): void {
    this.#waiting.push({ ...answer, until: now + TIMES.replicationWaitMs });
  }

  isWaiting(key: string): boolean {
    return this.#waiting.some((waiting) => waiting.key === key);
  }

  /** The answers that need not wait any longer. */
  takeSettled(now: number): WaitingAnswer[] {
    if (this.#waiting.length === 0) return [];
    const safeIndex = this.#safeIndex();
    const isSettled = (waiting: WaitingAnswer) => waiting.index <= safeIndex || now >= waiting.until;
    const settled = this.#waiting.filter(isSettled);
    this.#waiting = this.#waiting.filter((waiting) => !isSettled(waiting));
    return settled;
  }

  /** The last entry that is on this node's disk and with every follower. */
  #safeIndex(): number {
    let safe = this.#flushedIndex;
    for (const follower of this.#followers.values()) safe = Math.min(safe, follower.acknowledgedIndex);
    return safe;
  }
}
