import type { Engine, EngineCapacity } from '../../engine/contract.js';
import { ShoalError } from '../../shared/errors.js';
import { TIMES } from '../../shared/limits.js';
import type { Drawing, StepMachine, StepOutcome, StepPlan } from '../step/contract.js';
import { outcomeOf, stepOf } from '../step/wholeModel.js';
import type { Inbox, Outbox } from './mailbox.js';
import { afterMessage, readOutcome, type SequenceOperation, writeStage } from './message.js';
import { boundsOf, type MessageBounds } from './messageChecks.js';

/** Operations that wait for the next step; past it they are sent by themselves. */
const WAITING_OPERATIONS = 64;

export interface FirstStageComponents {
  /** With the first layers. */
  readonly engine: Engine;
  /** To the next stage. */
  readonly next: Outbox;
  /** From the last stage. */
  readonly outcomes: Inbox;
  /** Milliseconds of a clock that never goes back. @default performance.now */
  readonly clock?: () => number;
}

/**
 * Rank 0 of a pipeline: it computes the first layers of each step and hands the rows on. The last rank, which has the
 * logits, draws and tells only tokens. Several steps may be on their way, one for each stage.
 */
export class FirstStage implements StepMachine {
  readonly depth: number;
  readonly #components: FirstStageComponents;
  readonly #bounds: MessageBounds;
  /** Tokens that each step on its way was to draw, oldest first. */
  readonly #awaited: number[] = [];
  readonly #clock: () => number;
  /** How long the oldest of them has been waited for, and when that was looked at last. */
  #waitedMs = 0;
  #lookedAt = 0;
  /** What the other ranks have not been told yet. */
  #operations: SequenceOperation[] = [];

  constructor(components: FirstStageComponents, worldSize: number) {
    this.depth = worldSize;
    this.#components = components;
    this.#bounds = boundsOf(components.engine);
    this.#clock = components.clock ?? (() => performance.now());
  }

  get capacity(): EngineCapacity {
    return this.#components.engine.capacity;
  }

  get canTruncate(): boolean {
    return this.#components.engine.canTruncate;
  }

  begin(sequence: number, drawing: Drawing): void {
    // These may be long; each one has a message of its own.
    const { prompt, known, sampling } = drawing;
    const isLong = prompt !== null || known.length > 0 || sampling.logitBias.length > 0;
    if (isLong) this.#flush();
    this.#tell({ kind: 'begin', sequence, drawing });
    if (isLong) this.#flush();
  }

  copyPrefix(from: number, to: number, length: number): void {
    this.#components.engine.copyPrefix(from, to, length);
    this.#tell({ kind: 'copy', from, to, length });
  }

  truncate(sequence: number, length: number): boolean {
    if (!this.#components.engine.truncate(sequence, length)) return false;
    this.#tell({ kind: 'cut', sequence, length });
    return true;
  }

  submit(plan: StepPlan): StepOutcome | null {
    const result = stepOf(this.#components.engine, plan);
    if (result.kind === 'logits') {
      return { kind: 'failed', error: new ShoalError('engine_error', 'The first stage gave logits.') };
    }
    if (result.kind !== 'hidden') return outcomeOf(result);
    this.#requireNoMail();
    const step = { ...plan, input: { ...plan.input, tokens: null } };
    this.#send(step, result.hidden);
    if (this.#awaited.length === 0) this.#waitAnew();
    this.#awaited.push(plan.draws.reduce((sum, { length }) => sum + length, 0));
    return null;
  }

  take(): StepOutcome | null {
    const { outcomes } = this.#components;
    if (!outcomes.hasMail) {
      this.#requireAnswer();
      return null;
    }
    this.#waitAnew();
    const draws = this.#awaited.shift() ?? 0;
    const outcome = outcomes.next((bytes) => readOutcome(bytes, draws, this.#bounds));
    if (outcome.kind === 'drawn') return outcome;
    return { kind: 'failed', error: ShoalError.fromFault(outcome.fault) };
  }

  #waitAnew(): void {
    this.#waitedMs = 0;
    this.#lookedAt = this.#clock();
  }

  /**
   * A rank that shows signs of life and answers no step would keep the instance from ever serving again: the requests end
   * by their deadlines, and the next ones wait behind them.
   * @throws {ShoalError} `deadline_exceeded`, which names the rank that has the answer
   */
  #requireAnswer(): void {
    if (this.#awaited.length === 0) return;
    const now = this.#clock();
    // While this rank itself computed, or stood still, the answer may have come as far as the other thread.
    this.#waitedMs += Math.min(now - this.#lookedAt, TIMES.heartbeatMs);
    this.#lookedAt = now;
    if (this.#waitedMs < TIMES.rankAnswerMs) return;
    const what = `has not answered a step for ${TIMES.rankAnswerMs} ms, nor has any rank ended`;
    throw this.#components.outcomes.fault('deadline_exceeded', what);
  }

  /** What was answered too much would be taken for the answer to the next step. */
  #requireNoMail(): void {
    const { outcomes } = this.#components;
    if (this.#awaited.length > 0 || !outcomes.hasMail) return;
    // It throws by itself when the links have ended.
    outcomes.next(() => undefined);
    throw outcomes.blame('it answered a step that nobody asked for');
  }

  #tell(operation: SequenceOperation): void {
    this.#operations.push(operation);
    if (this.#operations.length >= WAITING_OPERATIONS) this.#flush();
  }

  #flush(): void {
    if (this.#operations.length > 0) this.#send(null, null);
  }

  #send(step: StepPlan | null, hidden: Float32Array | null): void {
    const operations = this.#operations;
    this.#operations = [];
    this.#components.next.send((room) => {
      const length = writeStage(room, { operations, step, failure: null });
      return hidden === null ? length : appendHidden(room, length, hidden);
    });
  }
}

/** @returns the length of the whole message */
export function appendHidden(room: Uint8Array, length: number, hidden: Float32Array): number {
  const at = afterMessage(length);
  new Float32Array(room.buffer, room.byteOffset + at, hidden.length).set(hidden);
  return at + hidden.byteLength;
}
