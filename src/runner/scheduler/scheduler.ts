/**
 * Continuous batching, step by step and without any clock, timer or thread of its own.
 *
 * A step carries one row for every decoding sequence and one bounded prefill chunk. Requests are admitted in order of
 * arrival, each with slots and cells for its longest answer, so that what runs can always finish. Reserved and pinned
 * cells never exceed what there is; the prefix cache lives in the rest.
 *
 * Where several steps may be on their way, the decoding sequences are spread evenly over them, so that no rank waits
 * while another computes: a sequence whose token is not back yet is in no further step, but the chunks of one prompt
 * follow each other.
 */
import { ShoalError } from '../../shared/errors.js';
import type { RunnerLoad } from '../../shared/runnerProtocol.js';
import type { StepMachine } from '../step/contract.js';
import { answerBudget, type BudgetLimits, neededCells } from './budget.js';
import { exceededDeadline } from './deadlines.js';
import { PrefillTurns } from './prefillTurns.js';
import { RunningSet } from './runningSet.js';
import { type CacheLimits, Slots } from './slots.js';
import { StepComputer } from './stepComputer.js';
import type { PlannedRows } from './stepRows.js';
import type { Task } from './task.js';

export interface SchedulerComponents {
  readonly machine: StepMachine;
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
  readonly #machine: StepMachine;
  readonly #clock: () => number;
  readonly #options: SchedulerOptions;
  readonly #limits: BudgetLimits;
  readonly #slots: Slots;
  readonly #running: RunningSet;
  readonly #turns: PrefillTurns;
  readonly #computer: StepComputer;
  #queue: Task[] = [];

  constructor(components: SchedulerComponents, options: SchedulerOptions) {
    const { machine, clock, peakMemoryBytes, onStep } = components;
    const { endTokens } = options;
    if (options.sequences > Math.min(machine.capacity.sequences, machine.capacity.outputRows)) {
      throw new RangeError('more sequences than the engine has slots, or rows of logits');
    }
    if (options.sequences > machine.capacity.batchRows) {
      throw new RangeError('more sequences than a step has rows');
    }
    const slots = new Slots(machine, options);
    const running = new RunningSet({ machine, slots, clock, peakMemoryBytes, endTokens });
    this.#machine = machine;
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
    this.#computer = new StepComputer({ machine, slots, running, clock, onStep }, endTokens);
  }

  /** Is there nothing to compute, and nothing on its way? */
  get isIdle(): boolean {
    const isEmpty = this.#running.requests.length === 0 && this.#queue.length === 0;
    return isEmpty && !this.#computer.hasStepsUnderway;
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
   * Ends what is out of time, takes what has come back, admits what fits, and computes or begins one step.
   * @returns false when there was nothing to do but to wait for steps on their way
   */
  step(): boolean {
    this.#expire(this.#clock());
    const hasCollected = this.#computer.collect();
    this.#admit();
    const plan = this.#computer.isOpen ? this.#plan() : [];
    if (plan.length === 0) return hasCollected;
    this.#computer.compute(plan);
    this.#computer.collect();
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
    const decoding = this.#running.requests.flatMap((request) =>
      request.sequences
        .filter((sequence) => sequence.isDecoding)
        .map((sequence) => ({ request, sequence, count: 1, hasOutput: true })),
    );
    const share = Math.ceil(decoding.length / this.#machine.depth);
    const decodes = decoding.filter(({ sequence }) => sequence.isReady).slice(0, share);
    const rowsLeft = this.#machine.capacity.batchRows - decodes.length;
    return [...decodes, ...this.#turns.plan(Math.min(this.#options.prefillChunkTokens, rowsLeft))];
  }
}
