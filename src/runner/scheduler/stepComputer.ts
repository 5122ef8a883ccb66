import type { Engine } from '../../engine/contract.js';
import { ShoalError, toFault } from '../../shared/errors.js';
import type { FinishReason } from '../../shared/generation.js';
import { chances } from '../sampler/logprobs.js';
import { Sampler } from '../sampler/sampler.js';
import type { RunningRequest } from './runningRequest.js';
import type { RunningSet } from './runningSet.js';
import type { Sequence } from './sequence.js';
import type { Slots } from './slots.js';
import { type PlannedRows, StepRows } from './stepRows.js';
import type { Task } from './task.js';

export interface StepComputerComponents {
  readonly engine: Engine;
  readonly slots: Slots;
  readonly running: RunningSet;
  readonly clock: () => number;
  /** Told before a step of so many rows, with the one request they all belong to or null; and with 0 rows after it. */
  readonly onStep?: ((soleRequest: number | null, rows: number) => void) | undefined;
}

const NOTHING_FORBIDDEN: ReadonlySet<number> = new Set();
/** Attention takes the rows of a prefill chunk in blocks: so many cost as much as one row by itself (Qwen3 0.6B, CPU). */
const ROWS_OF_A_WALK = 8;

/** Computes planned rows and draws the tokens that follow. What goes wrong with one sequence stays its own. */
export class StepComputer {
  readonly #components: StepComputerComponents;
  readonly #endTokens: ReadonlySet<number>;
  readonly #rows: StepRows;
  readonly #sampler: Sampler;

  constructor(components: StepComputerComponents, endTokens: ReadonlySet<number>) {
    const { capacity, shape } = components.engine;
    this.#components = components;
    this.#endTokens = endTokens;
    this.#rows = new StepRows(capacity.batchRows);
    this.#sampler = new Sampler(shape.vocabularySize);
  }

  /** When the rows fail together, each sequence is computed alone, so that only the culprit ends. */
  compute(plan: readonly PlannedRows[]): void {
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
      if (!rows.request.hasEnded) this.compute([rows]);
    }
  }

  /** One engine step; null when it went well, or was aborted and has changed nothing. */
  #run(plan: readonly PlannedRows[]): ShoalError | null {
    const { engine, slots, onStep } = this.#components;
    const rowCount = plan.reduce((sum, rows) => sum + rows.count, 0);
    slots.charge(walksOf(plan));
    slots.makeRoom(rowCount);
    const { request: first } = plan[0]!;
    onStep?.(plan.every(({ request }) => request === first) ? first.task.request : null, rowCount);
    try {
      let result = engine.step(this.#rows.fill(plan));
      if (result.kind === 'no_room') {
        slots.dropCache();
        result = engine.step(this.#rows.fill(plan));
      }
      if (result.kind === 'logits') {
        this.#commit(plan, result.rows);
        return null;
      }
      if (result.kind === 'aborted') {
        // Whoever set the flag has sent a cancel as well; the rows are planned anew without the cancelled request.
        Atomics.store(engine.abortFlag, 0, 0);
        return null;
      }
      return new ShoalError('engine_error', `The engine answered a step with ${result.kind}.`);
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
      return this.#components.engine.truncate(sequence.slot, sequence.computed);
    } catch (error) {
      if (error instanceof ShoalError) return false;
      throw error;
    }
  }

  #commit(plan: readonly PlannedRows[], logits: readonly Float32Array[]): void {
    const { slots, clock } = this.#components;
    for (const { sequence, count } of plan) {
      slots.ledger.append(sequence.slot, count);
      sequence.computed += count;
    }
    const nowMs = clock();
    let row = 0;
    for (const { request, sequence, hasOutput } of plan) {
      if (!hasOutput) continue;
      const rowLogits = logits[row++]!;
      for (const choice of this.#choicesAt(request, sequence, nowMs)) {
        this.#draw(request, choice, rowLogits, nowMs);
      }
    }
  }

  /** The sequences that go on from a row: at the end of a shared prompt all choices, else the row's own. */
  #choicesAt(request: RunningRequest, sequence: Sequence, nowMs: number): readonly Sequence[] {
    if (sequence.answerTokens > 0) return [sequence];
    request.firstTokenAtMs ??= nowMs;
    const { slots } = this.#components;
    if (!slots.canShare) return [sequence];
    for (const other of request.sequences.slice(1)) {
      slots.copyPrefix(sequence.slot, other.slot, sequence.promptTokens);
      other.computed = sequence.promptTokens;
    }
    return request.sequences;
  }

  /** Draws the next token of a sequence. Whatever goes wrong here ends this request and no other. */
  #draw(request: RunningRequest, sequence: Sequence, logits: Float32Array, nowMs: number): void {
    if (request.hasEnded) return;
    request.lastTokenAtMs = nowMs;
    let reason: FinishReason | null;
    try {
      reason = this.#extend(request.task, sequence, logits);
    } catch (error) {
      this.#components.running.fail(request, toFault(error), false);
      return;
    }
    if (reason !== null) this.#components.running.finishChoice(request, sequence, reason);
  }

  /** Returns why the choice is over, or null when it goes on. */
  #extend(task: Task, sequence: Sequence, logits: Float32Array): FinishReason | null {
    const known = task.resume?.[sequence.choice];
    if (known?.reason != null) {
      // It has ended elsewhere: its tokens count, and nothing of it is computed.
      for (const token of known.tokens) sequence.push(token);
      return known.reason;
    }
    const token = known?.tokens[sequence.answerTokens] ?? this.#drawn(task, sequence, logits);
    if (this.#endTokens.has(token)) return 'stop';
    sequence.push(token);
    const chance = task.topLogprobs === null ? null : chances(logits, token, task.topLogprobs);
    if (task.answer.token(sequence.choice, token, chance)) return 'stop';
    return sequence.length === sequence.tokens.length ? 'length' : null;
  }

  #drawn(task: Task, sequence: Sequence, logits: Float32Array): number {
    return this.#sampler.draw(logits, {
      sampling: task.sampling,
      key: sequence.key,
      forbidden: task.ignoreEos ? this.#endTokens : NOTHING_FORBIDDEN,
      history: sequence.history,
      position: sequence.length,
    });
  }
}

/** How often attention walks over the used cells in a step. */
function walksOf(plan: readonly PlannedRows[]): number {
  return plan.reduce((sum, { count }) => sum + Math.max(1, count / ROWS_OF_A_WALK), 0);
}
