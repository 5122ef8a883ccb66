import type { Engine } from '../../engine/contract.js';
import { type Fault, ShoalError } from '../../shared/errors.js';
import type { StepPlan } from '../step/contract.js';
import type { Drawer } from '../step/drawer.js';
import { stepOf } from '../step/wholeModel.js';
import { appendHidden } from './firstStage.js';
import type { Inbox, Outbox } from './mailbox.js';
import {
  type OutcomeMessage,
  readStage,
  type SequenceOperation,
  type StageMessage,
  writeOutcome,
  writeStage,
} from './message.js';
import { boundsOf, type MessageBounds } from './messageChecks.js';

export interface LaterStageComponents {
  readonly engine: Engine;
  /** From the stage before. */
  readonly before: Inbox;
  /** To the next stage, or from the last one to the first. */
  readonly next: Outbox;
  /** Of the last stage, which has the logits; null of the others. */
  readonly drawer: Drawer | null;
  /** Told before a step of so many rows, and with 0 after it. */
  readonly onStep: (rows: number) => void;
}

/**
 * Another rank of a pipeline than the first: it does what it is told, step by step. A step that it cannot compute is
 * passed on as failed, so that the first rank hears of it in its turn; an operation on its sequences that fails means
 * that it is not in step any more, which ends the instance.
 */
export class LaterStage {
  readonly #components: LaterStageComponents;
  readonly #bounds: MessageBounds;
  /** Then it may be out of step by itself. */
  #hasFailed = false;

  constructor(components: LaterStageComponents) {
    this.#components = components;
    this.#bounds = boundsOf(components.engine);
  }

  /** Waits for the next message and does what it says. @returns whether there was a step in it */
  advance(): boolean {
    const { before, engine, drawer } = this.#components;
    const message = before.next((bytes) => readStage(bytes, engine.shape.hiddenSize, this.#bounds));
    for (const operation of message.operations) this.#perform(operation);
    const { step } = message;
    if (step === null) {
      if (drawer === null) this.#passOn(message, null);
      return false;
    }
    if (message.failure !== null) this.#fail(message, message.failure);
    else this.#compute(message, step);
    return true;
  }

  #perform(operation: SequenceOperation): void {
    const { engine, drawer, before } = this.#components;
    if (operation.kind === 'begin') drawer?.begin(operation.sequence, operation.drawing);
    else performOn(engine, operation, this.#hasFailed ? null : before);
  }

  #compute(message: StageMessage, step: StepPlan): void {
    const { engine, drawer, before, onStep } = this.#components;
    const unknown = drawer === null ? undefined : step.draws.flat().find((slot) => !drawer.has(slot));
    if (unknown !== undefined) throw before.blame(`it has sequence ${unknown} drawn from before it began`);
    onStep(step.input.positions.length);
    try {
      const result = stepOf(engine, step);
      if (result.kind === 'failed') this.#fail(message, result.error.toFault());
      else if (result.kind === 'logits' && drawer !== null) {
        this.#answer({ kind: 'drawn', drawn: drawer.draw(step, result.rows) });
      } else if (result.kind === 'hidden' && drawer === null) this.#passOn(message, result.hidden);
      else {
        const error = new ShoalError('engine_error', `A stage answered a step with ${result.kind}.`);
        this.#fail(message, error.toFault());
      }
    } finally {
      onStep(0);
    }
  }

  #fail(message: StageMessage, fault: Fault): void {
    this.#hasFailed = true;
    if (this.#components.drawer === null) this.#passOn({ ...message, failure: fault }, null);
    else this.#answer({ kind: 'failed', fault });
  }

  #passOn(message: StageMessage, hidden: Float32Array | null): void {
    this.#components.next.send((room) => {
      const length = writeStage(room, message);
      return hidden === null ? length : appendHidden(room, length, hidden);
    });
  }

  #answer(outcome: OutcomeMessage): void {
    this.#components.next.send((room) => writeOutcome(room, outcome));
  }
}

/**
 * Does to the cells of this rank what was done to those of the first.
 * @param teller who is to blame when this rank is out of step; null when it may be that by itself
 * @throws {ShoalError} when it is
 */
export function performOn(engine: Engine, operation: SequenceOperation, teller: Inbox | null): void {
  if (operation.kind === 'begin') return;
  try {
    if (operation.kind === 'copy') engine.copyPrefix(operation.from, operation.to, operation.length);
    else if (!engine.truncate(operation.sequence, operation.length)) {
      throw new ShoalError('engine_error', `Sequence ${operation.sequence} cannot be cut as on other ranks.`);
    }
  } catch (error) {
    if (teller === null || !(error instanceof ShoalError)) throw error;
    throw teller.blame(`it asked for what cannot be done. ${error.message}`);
  }
}
