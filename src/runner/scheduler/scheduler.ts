/**
 * Continuous batching around one computer, step by step and without any clock, timer or thread of its own.
 *
 * A step carries one row for each decoding sequence that has its last token, and one bounded prefill chunk. Where several
 * steps can be under way at once, each takes an equal part of the sequences, so that every rank of a pipeline has one:
 * with S sequences on R ranks a token of each takes no longer than a step of S / R rows takes on the whole model. Requests are admitted in order of
 * arrival, each with slots and cells for its longest answer, so that what runs can always finish. Reserved and pinned
 * cells never exceed what there is; the prefix cache lives in the rest.
 */
import { ShoalError } from '../../shared/errors.js';
import type { RunnerLoad } from '../../shared/runnerProtocol.js';
import type { BatchComputer } from './batchComputer.js';
import { answerBudget, type BudgetLimits, neededCells } from './budget.js';
import { exceededDeadline } from './deadlines.js';
import { PrefillTurns } from './prefillTurns.js';
import { RunningSet } from './runningSet.js';
import { type CacheLimits, Slots } from './slots.js';
import { StepComputer } from './stepComputer.js';
import type { PlannedRows } from './stepRows.js';
import type { Task } from './task.js';

export interface SchedulerComponents {
  readonly computer: BatchComputer;
  /** Milliseconds of a clock that never goes back. */
  readonly clock: () => number;
  readonly peakMemoryBytes: () => number;
  /** Told before a step of so many rows, with the one request they all belong to or null; and with 0 rows after it. */
  readonly onStep?: (soleRequest: number | null, rows: number) => void;
}

export interface SchedulerOptions extends CacheLimits {
  readonly contextTokens: number;
  /** Sequences that run side by side; the engine may have more slots, which then serve the prefix cache. */
  readonly sequences: number;
  readonly prefillChunkTokens: number;
  readonly queueRequests: number;
  readonly endTokens: ReadonlySet<number>;
}

const NOT_ADMITTED = { admittedAtMs: null, firstTokenAtMs: null, lastTokenAtMs: null };

export class Scheduler {
  readonly #clock: () => number;
  readonly #options: SchedulerOptions;
  readonly #limits: BudgetLimits;
  readonly #slots: Slots;
  readonly #running: RunningSet;
  readonly #turns: PrefillTurns;
  readonly #depth: number;
  readonly #batchRows: number;
  readonly #steps: StepComputer;
  #queue: Task[] = [];

  constructor(components: SchedulerComponents, options: SchedulerOptions) {
    const { computer, clock, peakMemoryBytes, onStep } = components;
    const { capacity } = computer.cells;
    if (options.sequences > Math.min(capacity.sequences, capacity.outputRows)) {
      throw new RangeError('more sequences than the engine has slots, or rows of logits');
    }
    if (options.sequences > capacity.batchRows) {
      throw new RangeError('more sequences than a step has rows');
    }
    const slots = new Slots(computer.cells, options);
    const running = new RunningSet({ slots, clock, peakMemoryBytes });
    this.#depth = computer.depth;
    this.#batchRows = capacity.batchRows;
    this.#clock = clock;
    this.#options = options;
    this.#limits = {
      contextTokens: options.contextTokens,
      sequences: options.sequences,
      totalCells: slots.ledger.totalCells,
      sharesPrompt: slots.canShare,
    };
    this.#slots = slots;
    this.#running = running;
    this.#turns = new PrefillTurns(slots);
    this.#steps = new StepComputer({ computer, slots, running, clock, onStep }, options.endTokens);
  }

  /** Is there nothing to compute? */
  get isIdle(): boolean {
    return this.#running.requests.length === 0 && this.#queue.length === 0;
  }

  get load(): Omit<RunnerLoad, 'residentBytes'> {
    const { ledger } = this.#slots;
    return {
      runningSequences: this.#running.sequences.length,
      queuedRequests: this.#queue.length,
      usedCells: ledger.usedCells,
      totalCells: ledger.totalCells,
      prefixCacheCells: ledger.cachedCells,
    };
  }

  /** Cells that running requests hold or may still need; never more than there are. */
  get committedCells(): number {
    return this.#running.committedCells;
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
    const queued = this.#queue.find((task) => task.request === request);
    if (queued !== undefined) {
      this.#queue = this.#queue.filter((task) => task !== queued);
      queued.answer.failed(fault);
      return true;
    }
    const running = this.#running.requests.find((candidate) => candidate.task.request === request);
    if (running === undefined) return false;
    this.#running.fail(running, fault, true);
    return true;
  }

  /**
   * Takes the tokens that have come, ends what is out of time, admits what fits, and computes one step.
   * @returns false when there was nothing to do: all waits for tokens that are under way
   */
  step(): boolean {
    const hasCollected = this.#steps.collect();
    this.#expire(this.#clock());
    this.#admit();
    const plan = this.#steps.underWay < this.#depth ? this.#plan() : [];
    if (plan.length === 0) return hasCollected;
    this.#steps.submit(plan);
    this.#steps.collect();
    return true;
  }

  /** Frees the cells of the prefix cache. */
  dropCache(): void {
    this.#slots.dropCache();
  }

  #expire(nowMs: number): void {
    this.#queue = this.#queue.filter((task) => {
      const fault = exceededDeadline(task, NOT_ADMITTED, nowMs);
      if (fault !== null) task.answer.failed(fault);
      return fault === null;
    });
    for (const request of this.#running.requests) {
      const fault = exceededDeadline(request.task, request, nowMs);
      if (fault !== null) this.#running.fail(request, fault, true);
    }
  }

  /** First come, first served: a request that does not fit yet holds back those behind it, so it is not starved. */
  #admit(): void {
    const limits = this.#limits;
    for (let task = this.#queue[0]; task !== undefined; task = this.#queue[0]) {
      const answerTokens = answerBudget(task, limits);
      const cells = neededCells(task, answerTokens, limits.sharesPrompt);
      if (this.#running.sequences.length + task.choices > limits.sequences) return;
      if (this.committedCells + cells > limits.totalCells) return;
      this.#queue.shift();
      this.#turns.add(this.#running.begin(task, answerTokens));
    }
  }

  #plan(): PlannedRows[] {
    const answering = this.#running.sequences.filter(({ isAnswering }) => isAnswering).length;
    const ready = this.#running.requests.flatMap((request) =>
      request.sequences
        .filter(({ canDecode }) => canDecode)
        .map((sequence) => ({ request, sequence, count: 1, hasOutput: true })),
    );
    const decodes = ready.slice(0, Math.ceil(answering / this.#depth));
    const rowsLeft = this.#batchRows - decodes.length;
    return [...decodes, ...this.#turns.plan(Math.min(this.#options.prefillChunkTokens, rowsLeft))];
  }
}
