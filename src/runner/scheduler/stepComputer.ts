import { ShoalError, toFault } from '../../shared/errors.js';
import type { FinishReason } from '../../shared/generation.js';
import type { Drawn, StepMachine, StepOutcome } from '../step/contract.js';
import type { RunningRequest } from './runningRequest.js';
import type { RunningSet } from './runningSet.js';
import type { Sequence } from './sequence.js';
import type { Slots } from './slots.js';
import { type PlannedRows, StepRows } from './stepRows.js';

export interface StepComputerComponents {
  readonly machine: StepMachine;
  readonly slots: Slots;
  readonly running: RunningSet;
  readonly clock: () => number;
  /** Told before a step of so many rows, with the one request they all belong to or null; and with 0 rows after it. */
  readonly onStep?: ((soleRequest: number | null, rows: number) => void) | undefined;
}

/** Rows that were submitted together. */
interface Step {
  /** Counts them, in order of their submission. */
  readonly number: number;
  readonly plan: readonly PlannedRows[];
}

interface Failure {
  readonly step: Step;
  readonly error: ShoalError;
}

/** Attention takes the rows of a prefill chunk in blocks: so many cost as much as one row by itself (Qwen3 0.6B, CPU). */
const ROWS_OF_A_WALK = 8;

/**
 * Submits planned rows and commits what comes back. What goes wrong with one sequence stays its own: after a step that
 * failed nothing is submitted until all steps on their way are back; then every sequence of the failed ones is cut back
 * to what it had, and computed alone, so that only the culprit ends.
 */
export class StepComputer {
  readonly #components: StepComputerComponents;
  readonly #endTokens: ReadonlySet<number>;
  readonly #rows: StepRows;
  /** Steps on their way, oldest first. */
  #underway: Step[] = [];
  #submitted = 0;
  #failures: Failure[] = [];
  /** To be computed alone. */
  #suspects: PlannedRows[] = [];

  constructor(components: StepComputerComponents, endTokens: ReadonlySet<number>) {
    this.#components = components;
    this.#endTokens = endTokens;
    this.#rows = new StepRows(components.machine.capacity.batchRows);
  }

  get hasStepsUnderway(): boolean {
    return this.#underway.length > 0;
  }

  /** May a step be planned now? */
  get isOpen(): boolean {
    const isSound = this.#failures.length === 0 && this.#suspects.length === 0;
    return isSound && this.#underway.length < this.#components.machine.depth;
  }

  compute(plan: readonly PlannedRows[]): void {
    const { slots } = this.#components;
    const rowCount = countRows(plan);
    slots.charge(walksOf(plan));
    slots.makeRoom(rowCount + this.#underway.reduce((sum, step) => sum + countRows(step.plan), 0));
    let outcome = this.#submit(plan, rowCount);
    if (outcome?.kind === 'no_room') {
      slots.dropCache();
      outcome = this.#submit(plan, rowCount);
    }
    for (const { sequence, count } of plan) sequence.planned += count;
    const step = { number: this.#submitted++, plan };
    if (outcome === null) this.#underway.push(step);
    else this.#conclude(step, outcome);
  }

  /** Takes the outcomes that are there, and computes suspects alone. False when there was nothing to do. */
  collect(): boolean {
    let hasMoved = false;
    for (;;) {
      const outcome = this.#underway.length === 0 ? null : this.#components.machine.take();
      if (outcome !== null) {
        this.#conclude(this.#underway.shift()!, outcome);
      } else if (this.#underway.length > 0 || !this.#computeSuspect()) return hasMoved;
      hasMoved = true;
    }
  }

  #submit(plan: readonly PlannedRows[], rowCount: number): StepOutcome | null {
    const { machine, onStep } = this.#components;
    const { request: first } = plan[0]!;
    onStep?.(plan.every(({ request }) => request === first) ? first.task.request : null, rowCount);
    try {
      const draws = plan.filter(({ hasOutput }) => hasOutput).map((rows) => this.#drawersOf(rows));
      return machine.submit({
        input: this.#rows.fill(plan),
        draws: draws.map((sequences) => sequences.map(({ slot }) => slot)),
      });
    } finally {
      onStep?.(null, 0);
    }
  }

  #conclude(step: Step, outcome: StepOutcome): void {
    switch (outcome.kind) {
      case 'drawn':
        this.#commit(step, outcome.drawn);
        break;
      case 'aborted':
        // Whoever set the flag has sent a cancel as well; the rows are planned anew without the cancelled request.
        for (const { sequence, count } of step.plan) sequence.planned -= count;
        break;
      case 'no_room':
        this.#failures.push({ step, error: noRoom() });
        break;
      case 'failed':
        this.#failures.push({ step, error: outcome.error });
    }
    if (this.#underway.length === 0 && this.#failures.length > 0) this.#cutBack();
  }

  /** All steps are back: the sequences of those that failed stand again where they were, or end. */
  #cutBack(): void {
    const seen = new Set<Sequence>();
    const failures = this.#failures.splice(0).sort((a, b) => a.step.number - b.step.number);
    for (const { step, error } of failures) {
      for (const rows of step.plan) {
        const { request, sequence } = rows;
        // Rows that follow others of their sequence have failed with them.
        if (request.hasEnded || seen.has(sequence)) continue;
        seen.add(sequence);
        // What a failed step has left behind is not known.
        const isRestored = this.#restore(sequence);
        sequence.planned = sequence.computed;
        if (step.plan.length > 1 && isRestored) this.#suspects.push(rows);
        else this.#components.running.fail(request, { ...error.toFault(), code: 'engine_error' }, false);
      }
    }
  }

  /** @returns false when there is none */
  #computeSuspect(): boolean {
    for (let rows = this.#suspects.shift(); rows !== undefined; rows = this.#suspects.shift()) {
      if (rows.request.hasEnded) continue;
      this.compute([rows]);
      return true;
    }
    return false;
  }

  /** Recurrent models cannot be cut, and lose the sequences of a step that failed. */
  #restore(sequence: Sequence): boolean {
    try {
      return this.#components.machine.truncate(sequence.slot, sequence.computed);
    } catch (error) {
      if (error instanceof ShoalError) return false;
      throw error;
    }
  }

  #commit({ number, plan }: Step, drawn: readonly Drawn[]): void {
    const { slots, clock } = this.#components;
    // Rows after those that have failed stand nowhere; they are cut back with them. Those before are as good as any: a
    // first stage that fails says so before the last one has answered the step before.
    const failed = this.#failures
      .filter(({ step }) => step.number < number)
      .flatMap(({ step }) => step.plan.map(({ sequence }) => sequence));
    for (const { request, sequence, count } of plan) {
      if (request.hasEnded || failed.includes(sequence)) continue;
      slots.ledger.append(sequence.slot, count);
      sequence.computed += count;
    }
    const nowMs = clock();
    let next = 0;
    for (const rows of plan) {
      if (!rows.hasOutput) continue;
      const drawers = this.#drawersOf(rows);
      const mine = drawn.slice(next, next + drawers.length);
      next += drawers.length;
      if (rows.request.hasEnded || failed.includes(rows.sequence)) continue;
      this.#part(rows, nowMs);
      for (const [index, sequence] of drawers.entries()) {
        this.#take(rows.request, sequence, mine[index]!, nowMs);
      }
    }
  }

  /** The sequences that go on from a row: at the end of a shared prompt all choices, else the row's own. */
  #drawersOf({ request, sequence }: PlannedRows): readonly Sequence[] {
    const isShared = sequence.answerTokens === 0 && this.#components.slots.canShare;
    return isShared ? request.sequences : [sequence];
  }

  /** The choices of a request part at the end of its prompt, whose cells they share. */
  #part({ request, sequence }: PlannedRows, nowMs: number): void {
    if (sequence.answerTokens > 0) return;
    request.firstTokenAtMs ??= nowMs;
    const { slots } = this.#components;
    if (!slots.canShare) return;
    for (const other of request.sequences.slice(1)) {
      slots.copyPrefix(sequence.slot, other.slot, sequence.promptTokens);
      other.standAt(sequence.promptTokens);
    }
  }

  /** Whatever went wrong in drawing, or goes wrong here, ends this request and no other. */
  #take(request: RunningRequest, sequence: Sequence, drawn: Drawn, nowMs: number): void {
    if (request.hasEnded) return;
    request.lastTokenAtMs = nowMs;
    const { running } = this.#components;
    if (drawn.kind === 'failed') {
      running.fail(request, drawn.fault, false);
      return;
    }
    let reason: FinishReason | null;
    try {
      reason = this.#extend(request, sequence, drawn);
    } catch (error) {
      running.fail(request, toFault(error), false);
      return;
    }
    if (reason !== null) running.finishChoice(request, sequence, reason);
  }

  /** Returns why the choice is over, or null when it goes on. */
  #extend(
    { task }: RunningRequest,
    sequence: Sequence,
    { token, chance }: Drawn & { kind: 'token' },
  ): FinishReason | null {
    const known = task.resume?.[sequence.choice];
    if (known?.reason != null) {
      // It has ended elsewhere: its tokens count, and nothing of it is computed.
      for (const one of known.tokens) sequence.push(one);
      return known.reason;
    }
    if (this.#endTokens.has(token)) return 'stop';
    sequence.push(token);
    if (task.answer.token(sequence.choice, token, chance)) return 'stop';
    return sequence.length === sequence.tokens.length ? 'length' : null;
  }
}

function noRoom(): ShoalError {
  return new ShoalError('engine_error', 'The engine answered a step with no_room.');
}

function countRows(plan: readonly PlannedRows[]): number {
  return plan.reduce((sum, { count }) => sum + count, 0);
}

/** How often attention walks over the used cells in a step. */
function walksOf(plan: readonly PlannedRows[]): number {
  return plan.reduce((sum, { count }) => sum + Math.max(1, count / ROWS_OF_A_WALK), 0);
}
