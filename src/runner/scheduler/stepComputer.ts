import { ShoalError, toFault } from '../../shared/errors.js';
import type { FinishReason } from '../../shared/generation.js';
import type { BatchComputer } from './batchComputer.js';
import type { Draw, Drawn } from './drawer.js';
import type { RunningRequest } from './runningRequest.js';
import type { RunningSet } from './runningSet.js';
import type { Sequence } from './sequence.js';
import type { Slots } from './slots.js';
import { type PlannedRows, StepRows } from './stepRows.js';

export interface StepComputerComponents {
  readonly computer: BatchComputer;
  readonly slots: Slots;
  readonly running: RunningSet;
  readonly clock: () => number;
  /** Told before a step of so many rows, with the one request they all belong to or null; and with 0 rows after it. */
  readonly onStep?: ((soleRequest: number | null, rows: number) => void) | undefined;
}

/** A sequence whose next token is being drawn. */
interface Drawer {
  readonly request: RunningRequest;
  readonly sequence: Sequence;
}

/** Attention takes the rows of a prefill chunk in blocks: so many cost as much as one row by itself (Qwen3 0.6B, CPU). */
const ROWS_OF_A_WALK = 8;

/** Hands planned rows to the computer, and takes the tokens that follow. What goes wrong with one sequence stays its own. */
export class StepComputer {
  readonly #components: StepComputerComponents;
  readonly #endTokens: ReadonlySet<number>;
  readonly #rows: StepRows;
  /** For whom each step under way draws, oldest first. */
  readonly #underWay: (readonly Drawer[])[] = [];
  /** Sequences that something was drawn for, by their numbers. */
  readonly #drawn = new Map<number, Sequence>();

  constructor(components: StepComputerComponents, endTokens: ReadonlySet<number>) {
    this.#components = components;
    this.#endTokens = endTokens;
    this.#rows = new StepRows(components.computer.cells.capacity.batchRows);
  }

  /** Steps whose tokens have not come back. */
  get underWay(): number {
    return this.#underWay.length;
  }

  /** When the rows fail together, each sequence is computed alone, so that only the culprit ends. */
  submit(plan: readonly PlannedRows[]): void {
    const failure = this.#run(plan);
    if (failure === null) return;
    for (const { request, sequence } of plan) {
      if (request.hasEnded) continue;
      // What a failed step has left behind is not known: cut each sequence back to what it had.
      const isRestored = this.#restore(sequence);
      if (plan.length > 1 && isRestored) continue;
      this.#components.running.fail(request, { ...failure.toFault(), code: 'engine_error' }, false);
    }
    if (plan.length === 1) return;
    for (const rows of plan) {
      if (!rows.request.hasEnded) this.submit([rows]);
    }
  }

  /** Takes the tokens of all steps that have ended. False when none has. */
  collect(): boolean {
    let hasTaken = false;
    const { computer, clock } = this.#components;
    for (let drawn = computer.take(); drawn !== null; drawn = computer.take()) {
      hasTaken = true;
      const nowMs = clock();
      for (const [index, { request, sequence }] of this.#underWay.shift()!.entries()) {
        this.#take(request, sequence, drawn[index]!, nowMs);
      }
    }
    return hasTaken;
  }

  /** One step; null when it went well, or was aborted and has changed nothing. */
  #run(plan: readonly PlannedRows[]): ShoalError | null {
    const { computer, slots, onStep } = this.#components;
    const rowCount = plan.reduce((sum, rows) => sum + rows.count, 0);
    slots.charge(walksOf(plan));
    slots.makeRoom(rowCount);
    this.#forgetEnded();
    const drawers = plan.filter(({ hasOutput }) => hasOutput).map((rows) => this.#drawersAt(rows));
    const draws = drawers.flatMap((group, output) =>
      group.map(({ sequence }) => this.#draw(sequence, output)),
    );
    const { request: first } = plan[0]!;
    onStep?.(plan.every(({ request }) => request === first) ? first.task.request : null, rowCount);
    try {
      let submitted = computer.submit(this.#rows.fill(plan), draws);
      if (submitted === 'no_room') {
        slots.dropCache();
        submitted = computer.submit(this.#rows.fill(plan), draws);
      }
      if (submitted === 'no_room')
        return new ShoalError('engine_error', 'The engine has no room for a step.');
      if (submitted === 'computed') this.#commit(plan, drawers.flat());
      return null;
    } catch (error) {
      if (error instanceof ShoalError) return error;
      throw error;
    } finally {
      onStep?.(null, 0);
    }
  }

  /** Recurrent models cannot be cut, and lose the sequences of a step that failed. */
  #restore(sequence: Sequence): boolean {
    try {
      return this.#components.computer.cells.truncate(sequence.slot, sequence.computed);
    } catch (error) {
      if (error instanceof ShoalError) return false;
      throw error;
    }
  }

  #commit(plan: readonly PlannedRows[], drawers: readonly Drawer[]): void {
    const { slots } = this.#components;
    for (const { sequence, count } of plan) {
      slots.ledger.append(sequence.slot, count);
      sequence.computed += count;
    }
    for (const { request, sequence } of drawers) {
      this.#drawn.set(sequence.number, sequence);
      if (sequence.computed > 0) continue;
      slots.copyPrefix(request.first.slot, sequence.slot, sequence.promptTokens);
      sequence.computed = sequence.promptTokens;
    }
    this.#underWay.push(drawers);
  }

  /** The sequences that go on from a row: at the end of a shared prompt all choices, else the row's own. */
  #drawersAt({ request, sequence }: PlannedRows): readonly Drawer[] {
    const isShared = sequence.answerTokens === 0 && this.#components.slots.canShare;
    return (isShared ? request.sequences : [sequence]).map((one) => ({ request, sequence: one }));
  }

  #draw(sequence: Sequence, output: number): Draw {
    const { number, length: position } = sequence;
    if (this.#drawn.has(number)) return { sequence: number, output, position };
    return { sequence: number, output, position, drawing: sequence.drawing(this.#endTokens) };
  }

  #forgetEnded(): void {
    for (const [number, { isFinished }] of this.#drawn) {
      if (!isFinished) continue;
      this.#drawn.delete(number);
      this.#components.computer.forget(number);
    }
  }

  /** Whatever goes wrong here ends this request and no other. */
  #take(request: RunningRequest, sequence: Sequence, drawn: Drawn, nowMs: number): void {
    if (request.hasEnded || sequence.isFinished) return;
    const { running } = this.#components;
    request.firstTokenAtMs ??= nowMs;
    request.lastTokenAtMs = nowMs;
    if ('fault' in drawn) {
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
    { token, chance }: Exclude<Drawn, { readonly fault: unknown }>,
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

/** How often attention walks over the used cells in a step. */
function walksOf(plan: readonly PlannedRows[]): number {
  return plan.reduce((sum, { count }) => sum + Math.max(1, count / ROWS_OF_A_WALK), 0);
}
