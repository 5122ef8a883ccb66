import type { Engine, EngineCapacity } from '../../engine/contract.js';
import type { Drawing, StepMachine, StepOutcome, StepPlan } from '../step/contract.js';
import { WholeModel } from '../step/wholeModel.js';
import type { Outbox } from './mailbox.js';
import { type SequenceOperation, writeStage } from './message.js';

/** Operations that wait for the next step; past it they are sent by themselves. */
const WAITING_OPERATIONS = 64;

/**
 * Rank 0 of a model in slices: it tells all others each step before it computes its own slice, and has the logits. All
 * ranks compute a step at once, so that no other can be on its way meanwhile. A step that fails ends the instance: the
 * ranks add up numbers many times in it, and one that has left it is out of step with the others.
 */
export class SliceLeader implements StepMachine {
  readonly depth = 1;
  readonly #slice: WholeModel;
  readonly #all: Outbox;
  #operations: SequenceOperation[] = [];

  /** @param all to all other ranks */
  constructor(engine: Engine, all: Outbox) {
    this.#slice = new WholeModel(engine);
    this.#all = all;
  }

  get capacity(): EngineCapacity {
    return this.#slice.capacity;
  }

  get canTruncate(): boolean {
    return this.#slice.canTruncate;
  }

  /** Tokens are drawn here: the others need not know. */
  begin(sequence: number, drawing: Drawing): void {
    this.#slice.begin(sequence, drawing);
  }

  copyPrefix(from: number, to: number, length: number): void {
    this.#slice.copyPrefix(from, to, length);
    this.#tell({ kind: 'copy', from, to, length });
  }

  truncate(sequence: number, length: number): boolean {
    if (!this.#slice.truncate(sequence, length)) return false;
    this.#tell({ kind: 'cut', sequence, length });
    return true;
  }

  submit(plan: StepPlan): StepOutcome {
    this.#send(plan);
    const outcome = this.#slice.submit(plan);
    if (outcome.kind === 'failed') throw outcome.error;
    return outcome;
  }

  take(): null {
    return null;
  }

  #tell(operation: SequenceOperation): void {
    this.#operations.push(operation);
    if (this.#operations.length >= WAITING_OPERATIONS) this.#send(null);
  }

  #send(step: StepPlan | null): void {
    const operations = this.#operations;
    this.#operations = [];
    this.#all.send((room) => writeStage(room, { operations, step, failure: null }));
  }
}
