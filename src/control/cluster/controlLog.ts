/**
 * The log of control events with the state that they lead to. The newest entries stay at hand for nodes that missed
 * some; a node that missed more gets the state.
 */
import { LIMITS } from '../../shared/limits.js';
import { apply } from '../apply.js';
import type { ControlEvent } from '../events.js';
import { type ClusterState, EMPTY_STATE } from '../state.js';
import type { Entry } from './messages.js';
import { compareEpochs, type Epoch, isSamePosition, ORIGIN, type Position } from './position.js';
import { fromSnapshot, type Snapshot, toSnapshot } from './snapshot.js';

export type Acceptance = 'accepted' | 'gap' | 'conflict';

export class ControlLog {
  #state: ClusterState = EMPTY_STATE;
  #position: Position = ORIGIN;
  /** Position before the oldest entry that is kept. */
  #base: Position = ORIGIN;
  #tail: Entry[] = [];

  get state(): ClusterState {
    return this.#state;
  }

  get position(): Position {
    return this.#position;
  }

  /** The master's own next entry. */
  append(epoch: Epoch, event: ControlEvent): Entry {
    const entry = { index: this.#position.index + 1, epoch, event };
    this.#add(entry);
    return entry;
  }

  /**
   * Entries of the master after `previous`. What is there already is passed over, when it can be seen to be the same.
   * @param onEntry called with each entry that is new, once the state has it
   */
  accept(previous: Position, entries: readonly Entry[], onEntry: (entry: Entry) => void): Acceptance {
    if (previous.index > this.#position.index) return 'gap';
    const missing = this.#position.index - previous.index;
    const known = entries.slice(0, missing);
    const shared = positionOf(known.at(-1)) ?? previous;
    const own = this.#at(shared.index);
    if (own === null || !isSamePosition(own, shared)) return 'conflict';
    for (const entry of entries.slice(missing)) {
      this.#add(entry);
      onEntry(entry);
    }
    return 'accepted';
  }

  /** What follows this position, or null when that is not the beginning of this log or is too long ago. */
  entriesAfter(position: Position): readonly Entry[] | null {
    const own = this.#at(position.index);
    if (own === null || !isSamePosition(own, position)) return null;
    return this.#tail.slice(position.index - this.#base.index);
  }

  snapshot(): Snapshot {
    return toSnapshot(this.#state, this.#position);
  }

  install(snapshot: Snapshot): void {
    this.#state = fromSnapshot(snapshot);
    this.#position = snapshot.position;
    this.#base = snapshot.position;
    this.#tail = [];
  }

  /** The position of this log at an index; null where it does not reach, or not any more. */
  #at(index: number): Position | null {
    const skipped = index - this.#base.index;
    return skipped === 0 ? this.#base : positionOf(this.#tail[skipped - 1]);
  }

  #add(entry: Entry): void {
    this.#state = apply(this.#state, entry.event);
    this.#position = { index: entry.index, epoch: entry.epoch };
    this.#tail.push(entry);
    if (this.#tail.length < 2 * LIMITS.logTailEntries) return;
    const dropped = this.#tail.splice(0, this.#tail.length - LIMITS.logTailEntries);
    this.#base = positionOf(dropped.at(-1)) as Position;
  }
}

function positionOf(entry: Entry | undefined): Position | null {
  return entry === undefined ? null : { index: entry.index, epoch: entry.epoch };
}

/** Does this log know more than that position of the same reign says? */
export function isBehind(position: Position, master: Position): boolean {
  return compareEpochs(position.epoch, master.epoch) !== 0 || position.index < master.index;
}
