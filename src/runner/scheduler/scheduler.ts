/**
 * Continuous batching around one engine, step by step and without any clock, timer or thread of its own.
 *
 * A step carries one row for every decoding sequence and one bounded prefill chunk. Requests are admitted in order of
 * arrival, each with slots and cells for its longest answer, so that what runs can always finish. Reserved and pinned
 * cells never exceed what there is; the prefix cache lives in the rest.
 */
import type { Engine } from '../../engine/contract.js';
import { type Fault, ShoalError, toFault } from '../../shared/errors.js';
import type { FinishReason } from '../../shared/generation.js';
import type { RunnerLoad } from '../../shared/runnerProtocol.js';
import { chances } from '../sampler/logprobs.js';
import { Sampler } from '../sampler/sampler.js';
import { answerBudget, neededCells } from './budget.js';
import { exceededDeadline } from './deadlines.js';
import { PrefillTurns } from './prefillTurns.js';
import { RunningRequest } from './runningRequest.js';
import { Sequence } from './sequence.js';
import { Slots } from './slots.js';
import { type PlannedRows, StepRows } from './stepRows.js';
import type { Task } from './task.js';

export interface SchedulerComponents {
  readonly engine: Engine;
  /** Milliseconds of a clock that never goes back. */
  readonly clock: () => number;
  readonly peakMemoryBytes: () => number;
  /** Told before a step whose rows all belong to one request, and with null before any other: may it be aborted? */
  readonly onStep?: (soleRequest: number | null) => void;
}

export interface SchedulerOptions {
  readonly contextTokens: number;
  /** Sequences that run side by side; the engine may have more slots, which then serve the prefix cache. */
  readonly sequences: number;
  readonly prefillChunkTokens: number;
  readonly queueRequests: number;
  readonly cacheEntries: number;
  readonly endTokens: ReadonlySet<number>;
}

const NOTHING_FORBIDDEN: ReadonlySet<number> = new Set();

export class Scheduler {
  readonly #components: SchedulerComponents;
  readonly #options: SchedulerOptions;
  readonly #slots: Slots;
  readonly #turns: PrefillTurns;
  readonly #rows: StepRows;
  readonly #sampler: Sampler;
  #queue: Task[] = [];
  #running: RunningRequest[] = [];
  #admissions = 0;

  constructor(components: SchedulerComponents, options: SchedulerOptions) {
    const { capacity, shape } = components.engine;
    if (options.sequences > capacity.sequences)
      throw new RangeError('more sequences than the engine has slots');
    if (options.sequences > capacity.batchRows) throw new RangeError('more sequences than a step has rows');
    this.#components = components;
    this.#options = options;
    this.#slots = new Slots(components.engine, options.cacheEntries);
    this.#turns = new PrefillTurns(this.#slots);
    this.#rows = new StepRows(capacity.batchRows);
    this.#sampler = new Sampler(shape.vocabularySize);
  }

  /** Is there nothing to compute? */
  get isIdle(): boolean {
    return this.#running.length === 0 && this.#queue.length === 0;
  }

  get load(): Omit<RunnerLoad, 'residentBytes'> {
    return {
      runningSequences: this.#runningSequences,
      queuedRequests: this.#queue.length,
      usedCells: this.#slots.ledger.usedCells,
      totalCells: this.#slots.ledger.totalCells,
      prefixCacheCells: this.#slots.ledger.cachedCells,
    };
  }

  /** Cells that running requests hold or may still need; never more than there are. */
  get committedCells(): number {
    return this.#slots.ledger.pinnedCells + this.#reservedCells;
  }

  /**
   * Takes a request, or throws and will say nothing to its answer.
   * @throws {ShoalError} `queue_full`, `context_length_exceeded`, `invalid_request`
   */
  submit(task: Task): void {
    if (this.#queue.length >= this.#options.queueRequests) {
      throw new ShoalError(
        'queue_full',
        `${this.#queue.length} requests are waiting for this instance already.`,
      );
    }
    answerBudget(task, this.#limits);
    this.#queue.push(task);
  }

  /** Ends a request wherever it is, with `cancelled`. False when it is not here (any more). */
  cancel(request: number): boolean {
    const fault = new ShoalError('cancelled', 'The request was cancelled.').toFault();
    const queued = this.#queue.findIndex((task) => task.request === request);
    if (queued >= 0) {
      const [task] = this.#queue.splice(queued, 1);
      task!.answer.failed(fault);
      return true;
    }
    const running = this.#running.find((candidate) => candidate.task.request === request);
    if (running === undefined) return false;
    this.#fail(running, fault, true);
    return true;
  }

  /** Ends what is out of time, admits what fits, and computes one step. */
  step(): void {
    this.#expire(this.#components.clock());
    this.#admit(this.#components.clock());
    const plan = this.#plan();
    if (plan.length > 0) this.#compute(plan);
  }

  /** Frees the cells of the prefix cache. */
  dropCache(): void {
    this.#slots.dropCache();
  }

  get #limits() {
    const { contextTokens, sequences } = this.#options;
    const sharesPrompt = this.#slots.canShare;
    return { contextTokens, sequences, totalCells: this.#slots.ledger.totalCells, sharesPrompt };
  }

  get #runningSequences(): number {
    return this.#activeSequences().length;
  }

  get #reservedCells(): number {
    return this.#activeSequences().reduce((sum, sequence) => sum + sequence.reservedCells, 0);
  }

  #activeSequences(): Sequence[] {
    return this.#running.flatMap((request) => request.sequences.filter((sequence) => !sequence.isFinished));
  }

  #expire(nowMs: number): void {
    const waiting = { admittedAtMs: null, firstTokenAtMs: null, lastTokenAtMs: null };
    this.#queue = this.#queue.filter((task) => {
      const fault = exceededDeadline(task, waiting, nowMs);
      if (fault !== null) task.answer.failed(fault);
      return fault === null;
    });
    for (const request of [...this.#running]) {
      const fault = exceededDeadline(request.task, request, nowMs);
      if (fault !== null) this.#fail(request, fault, true);
    }
  }

  /** First come, first served: a request that does not fit yet holds back those behind it, so that it is not starved. */
  #admit(nowMs: number): void {
    const limits = this.#limits;
    while (this.#queue.length > 0) {
      const task = this.#queue[0]!;
      const answerTokens = answerBudget(task, limits);
      const cells = neededCells(task, answerTokens, limits.sharesPrompt);
      if (this.#runningSequences + task.choices > limits.sequences) return;
      if (this.committedCells + cells > limits.totalCells) return;
      this.#queue.shift();
      const sequences = Array.from({ length: task.choices }, (_, choice) => {
        const tokens = new Int32Array(task.prompt.length + answerTokens);
        tokens.set(task.prompt);
        return new Sequence(task, choice, this.#slots.acquire(tokens), tokens, limits.sharesPrompt);
      });
      const request = new RunningRequest(task, this.#admissions++, sequences, nowMs);
      this.#running.push(request);
      this.#turns.add(request);
    }
  }

  #plan(): PlannedRows[] {
    const decodes = this.#running.flatMap((request) =>
      request.sequences
        .filter((sequence) => sequence.isDecoding)
        .map((sequence) => ({ request, sequence, count: 1, hasOutput: true })),
    );
    const { batchRows } = this.#components.engine.capacity;
    const chunkTokens = Math.min(this.#options.prefillChunkTokens, batchRows - decodes.length);
    return [...decodes, ...this.#turns.plan(chunkTokens)];
  }

  /** Computes planned rows; when they fail together, each sequence alone, so that only the culprit ends. */
  #compute(plan: readonly PlannedRows[]): void {
    const { engine, onStep } = this.#components;
    this.#slots.makeRoom(plan.reduce((sum, rows) => sum + rows.count, 0));
    onStep?.(
      plan.every(({ request }) => request === plan[0]!.request) ? plan[0]!.request.task.request : null,
    );
    let failure: ShoalError;
    try {
      let result = engine.step(this.#rows.fill(plan));
      if (result.kind === 'no_room') {
        this.#slots.dropCache();
        result = engine.step(this.#rows.fill(plan));
      }
      if (result.kind === 'logits') {
        this.#commit(plan, result.rows);
        return;
      }
      if (result.kind === 'aborted') {
        // Whoever set the flag has sent a cancel as well; the step is planned anew without the cancelled request.
        Atomics.store(engine.abortFlag, 0, 0);
        return;
      }
      failure = new ShoalError('engine_error', `The engine answered a step with ${result.kind}.`);
    } catch (error) {
      if (!(error instanceof ShoalError)) throw error;
      failure = error;
    } finally {
      onStep?.(null);
    }
    this.#isolate(plan, failure);
  }

  #isolate(plan: readonly PlannedRows[], failure: ShoalError): void {
    for (const rows of plan) {
      const { request, sequence } = rows;
      if (request.hasEnded) continue;
      // What a failed step has left behind is not known: cut each sequence back to what it had.
      const isRestored = this.#restore(sequence);
      if (plan.length === 1 || !isRestored) this.#fail(request, engineFault(failure), false);
    }
    if (plan.length === 1) return;
    for (const rows of plan) {
      if (!rows.request.hasEnded) this.#compute([rows]);
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
    for (const { sequence, count } of plan) {
      this.#slots.ledger.append(sequence.slot, count);
      sequence.computed += count;
    }
    const nowMs = this.#components.clock();
    let row = 0;
    for (const { request, sequence, hasOutput } of plan) {
      if (!hasOutput) continue;
      const rowLogits = logits[row++]!;
      if (sequence.answerTokens > 0) {
        this.#draw(request, sequence, rowLogits, nowMs);
        continue;
      }
      request.firstTokenAtMs ??= nowMs;
      if (this.#slots.canShare) this.#givePrompt(request);
      const choices = this.#slots.canShare ? request.sequences : [sequence];
      for (const choice of choices) this.#draw(request, choice, rowLogits, nowMs);
    }
  }

  /** Lets every choice go on from the prompt that the first has computed. */
  #givePrompt(request: RunningRequest): void {
    const { slot, promptTokens } = request.first;
    for (const sequence of request.sequences.slice(1)) {
      this.#slots.copyPrefix(slot, sequence.slot, promptTokens);
      sequence.computed = promptTokens;
    }
  }

  /** Draws the next token of a sequence. Whatever goes wrong here ends this request and no other. */
  #draw(request: RunningRequest, sequence: Sequence, logits: Float32Array, nowMs: number): void {
    if (request.hasEnded) return;
    request.lastTokenAtMs = nowMs;
    try {
      const reason = this.#extend(request.task, sequence, logits);
      if (reason !== null) this.#finishChoice(request, sequence, reason);
    } catch (error) {
      this.#fail(request, toFault(error), false);
    }
  }

  /** Returns why the choice is over, or null when it goes on. */
  #extend(task: Task, sequence: Sequence, logits: Float32Array): FinishReason | null {
    const { endTokens } = this.#options;
    const token = this.#sampler.draw(logits, {
      sampling: task.sampling,
      key: sequence.key,
      forbidden: task.ignoreEos ? endTokens : NOTHING_FORBIDDEN,
      history: sequence.history,
      position: sequence.length,
    });
    if (endTokens.has(token)) return 'stop';
    sequence.push(token);
    const chance = task.topLogprobs === null ? null : chances(logits, token, task.topLogprobs);
    if (task.answer.token(sequence.choice, token, chance)) return 'stop';
    return sequence.length === sequence.tokens.length ? 'length' : null;
  }

  #finishChoice(request: RunningRequest, sequence: Sequence, reason: FinishReason): void {
    const { task } = request;
    task.answer.choiceFinished(sequence.choice, reason);
    this.#release(sequence, sequence.choice === 0);
    if (request.sequences.some((other) => !other.isFinished)) return;
    this.#remove(request);
    task.answer.finished(request.stats(this.#components.clock(), this.#components.peakMemoryBytes()));
  }

  /** @param keep are the cells sound, and may they serve later prompts? */
  #fail(request: RunningRequest, fault: Fault, keep: boolean): void {
    this.#remove(request);
    for (const sequence of request.sequences) {
      if (!sequence.isFinished) this.#release(sequence, keep && sequence.choice === 0);
    }
    request.task.answer.failed(fault);
  }

  #release(sequence: Sequence, keep: boolean): void {
    sequence.isFinished = true;
    this.#slots.release(sequence.slot, keep);
  }

  #remove(request: RunningRequest): void {
    request.hasEnded = true;
    this.#running = this.#running.filter((other) => other !== request);
  }
}

function engineFault(failure: ShoalError): Fault {
  return { ...failure.toFault(), code: 'engine_error' };
}
