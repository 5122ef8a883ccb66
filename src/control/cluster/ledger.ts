/** The log among the nodes: what the master appends and sends, and how a follower comes to have it. */
import type { NodeId } from '../../shared/ids.js';
import { LIMITS } from '../../shared/limits.js';
import type { ControlEvent } from '../events.js';
import { isBehind } from './controlLog.js';
import type { Entry, Pulse, Received } from './messages.js';
import type { NodeContext } from './nodeContext.js';
import { comparePositions, type Epoch, isSamePosition, type Position } from './position.js';

export class Ledger {
  readonly #context: NodeContext;
  /** Entries stored since the last snapshot. */
  #storedEntries = 0;

  constructor(context: NodeContext) {
    this.#context = context;
  }

  // The master's side

  append(events: readonly ControlEvent[]): void {
    const { reign, log } = this.#context;
    if (reign === null) return;
    for (const event of events) this.#added(log.append(reign.epoch, event));
  }

  /** Sends each follower what is new. */
  replicate(now: number): void {
    const { reign, log } = this.#context;
    if (reign === null) return;
    for (const [nodeId, message] of reign.news(log)) this.#context.send(nodeId, message, now);
  }

  /** Brings a follower whose log ends there up to date. */
  catchUp(nodeId: NodeId, position: Position, now: number): void {
    const { reign, log } = this.#context;
    if (reign !== null) this.#context.send(nodeId, reign.catchUp(nodeId, position, log), now);
  }

  // The follower's side: only what comes from its master is given to these

  appended({ previous, entries, acknowledge }: Received<'Append'>, now: number): void {
    const acceptance = this.#context.log.accept(previous, entries, (entry) => this.#added(entry));
    if (acceptance === 'accepted') {
      this.#synced();
      if (acknowledge) this.#acknowledge(now);
    } else this.#missed(now);
  }

  installed({ replaces, snapshot }: Received<'Install'>, now: number): void {
    const { log, outputs } = this.#context;
    if (!isSamePosition(replaces, log.position) || this.#mustTellFirst()) {
      this.#missed(now);
      return;
    }
    const isNewer = comparePositions(snapshot.position, log.position) > 0;
    if (!isNewer && !isSamePosition(snapshot.position, log.position)) return;
    if (isNewer) {
      log.install(snapshot);
      outputs.push({ kind: 'StateReplaced' });
      this.#storeSnapshot();
    }
    this.#synced();
    this.#acknowledge(now);
  }

  /** The pulse of the master, or of another follower when the master is not heard, shows what was missed. */
  catchUpWith(from: NodeId, { following, position }: Pulse, now: number): void {
    const { role, epoch, membership, isSynced, log } = this.#context;
    if (role !== 'follower' || epoch === null || following?.nodeId !== epoch.nodeId) return;
    if (from !== epoch.nodeId && membership.isHeard(epoch.nodeId, now)) return;
    if (!isSynced || !isBehind(log.position, position)) return;
    if (comparePositions(position, log.position) >= 0) this.#missed(now);
  }

  #added(entry: Entry): void {
    this.#context.outputs.push({ kind: 'StoreEntry', entry }, { kind: 'Applied', entry });
    const { kind } = entry.event;
    if (kind !== 'TaskAssigned' && kind !== 'TaskFinished') this.#context.isUnreconciled = true;
    this.#storedEntries += 1;
    if (this.#storedEntries >= LIMITS.entriesPerSnapshot) this.#storeSnapshot();
  }

  #storeSnapshot(): void {
    this.#storedEntries = 0;
    this.#context.outputs.push({ kind: 'StoreSnapshot', snapshot: this.#context.log.snapshot() });
  }

  /** Who has not joined yet asks by joining: the master must know first what else there is in this log. */
  #missed(now: number): void {
    if (!this.#context.isSynced) return;
    if (this.#mustTellFirst()) this.#context.mustJoinAgain = true;
    else this.#need(now);
  }

  /** A master that was started anew knows less than it did, and would bury what this log has. */
  #mustTellFirst(): boolean {
    const { epoch, joinedTerm, isSynced } = this.#context;
    return isSynced && epoch !== null && epoch.term !== joinedTerm;
  }

  #need(now: number): void {
    const { log } = this.#context;
    const epoch = this.#context.epoch as Epoch;
    this.#context.send(epoch.nodeId, { kind: 'Need', epoch, position: log.position }, now);
  }

  /** Told as a change of the role, so that whoever follows the state looks again: it can be trusted from now on. */
  #synced(): void {
    if (this.#context.isSynced) return;
    this.#context.isSynced = true;
    const { epoch, outputs } = this.#context;
    outputs.push({ kind: 'RoleChanged', role: 'follower', epoch, why: 'it has the log' });
  }

  #acknowledge(now: number): void {
    const { epoch, log } = this.#context;
    if (epoch !== null) this.#context.send(epoch.nodeId, { kind: 'Ack', position: log.position }, now);
  }
}
