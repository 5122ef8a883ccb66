import type { Engine } from '../../engine/contract.js';
import { StepRefused } from '../../engine/stepRefused.js';
import { ShoalError } from '../../shared/errors.js';
import { performOn } from './laterStage.js';
import type { Inbox } from './mailbox.js';
import { readStage } from './message.js';
import { boundsOf, type MessageBounds } from './messageChecks.js';

export interface SliceFollowerComponents {
  readonly engine: Engine;
  /** From rank 0. */
  readonly leader: Inbox;
  /** Told before a step of so many rows, and with 0 after it. */
  readonly onStep: (rows: number) => void;
}

/** Another rank of a model in slices than the first: it computes its slice of every step that rank 0 tells. */
export class SliceFollower {
  readonly #components: SliceFollowerComponents;
  readonly #bounds: MessageBounds;

  constructor(components: SliceFollowerComponents) {
    this.#components = components;
    this.#bounds = boundsOf(components.engine);
  }

  /** Waits for the next message and does what it says. @returns whether there was a step in it */
  advance(): boolean {
    const { engine, leader, onStep } = this.#components;
    const { operations, step } = leader.next((bytes) => readStage(bytes, 0, this.#bounds));
    for (const operation of operations) performOn(engine, operation, leader);
    if (step === null) return false;
    onStep(step.input.positions.length);
    try {
      const { kind } = engine.step(step.input);
      // An abort or a lack of room is the same on all ranks, and rank 0 deals with it.
      if (kind !== 'hidden' && kind !== 'logits') return true;
      throw new ShoalError('engine_error', `A slice answered a step with ${kind}.`);
    } catch (error) {
      if (!(error instanceof StepRefused)) throw error;
      throw leader.blame(`it asked for what cannot be done. ${error.message}`);
    } finally {
      onStep(0);
    }
  }
}
