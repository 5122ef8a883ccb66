/**
 * Holds the control state of this node, feeds events to the reducer and tells listeners. On one machine this node is
 * its own master: an event is applied before the next command is looked at, so no decision rests on a stale picture.
 */
import { apply } from '../control/apply.js';
import type { ControlEvent } from '../control/events.js';
import { type Assignment, type AssignTask, assignTask } from '../control/master.js';
import { type ClusterState, EMPTY_STATE } from '../control/state.js';
import { ShoalError } from '../shared/errors.js';
import { LIMITS } from '../shared/limits.js';

export type ControlListener = (event: ControlEvent, state: ClusterState) => void;

/** An event with the index that the state had after it. */
export interface AppliedEvent {
  readonly index: number;
  readonly event: ControlEvent;
}

export class ControlPlane {
  #state: ClusterState = EMPTY_STATE;
  readonly #listeners = new Set<ControlListener>();
  readonly #recent: AppliedEvent[] = [];
  readonly #now: () => number;

  /** @param now milliseconds since the epoch */
  constructor(now: () => number) {
    this.#now = now;
  }

  get state(): ClusterState {
    return this.#state;
  }

  publish(event: ControlEvent): void {
    this.#state = apply(this.#state, event);
    this.#recent.push({ index: this.#state.index, event });
    if (this.#recent.length > LIMITS.recentEvents) this.#recent.shift();
    for (const listener of this.#listeners) listener(event, this.#state);
  }

  /** Calls the listener after each event. Returns the function that ends it. */
  listen(listener: ControlListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The events after this index, oldest first, or null when some of them are no longer kept. */
  eventsSince(index: number): AppliedEvent[] | null {
    const first = this.#recent[0]?.index ?? this.#state.index + 1;
    if (index + 1 < first) return null;
    return this.#recent.filter((applied) => applied.index > index);
  }

  /** @throws {ShoalError} when no instance can take the task */
  assign(command: AssignTask): Assignment {
    const decision = assignTask(this.#state, command, this.#now());
    if ('fault' in decision) throw ShoalError.fromFault(decision.fault);
    for (const event of decision.events) this.publish(event);
    return decision.answer;
  }
}
