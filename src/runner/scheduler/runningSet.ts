import type { Fault } from '../../shared/errors.js';
import type { FinishReason } from '../../shared/generation.js';
import { needsHistory } from '../sampler/penalties.js';
import { seedKey } from '../sampler/random.js';
import type { StepMachine } from '../step/contract.js';
import { RunningRequest } from './runningRequest.js';
import { Sequence } from './sequence.js';
import type { Slots } from './slots.js';
import type { Task } from './task.js';

export interface RunningSetComponents {
  readonly machine: StepMachine;
  readonly slots: Slots;
  /** Milliseconds of a clock that never goes back. */
  readonly clock: () => number;
  readonly peakMemoryBytes: () => number;
  readonly endTokens: ReadonlySet<number>;
}

/** The requests that have slots and cells: how each begins and, exactly once, ends. */
export class RunningSet {
  readonly #components: RunningSetComponents;
  #requests: RunningRequest[] = [];
  #admissions = 0;

  constructor(components: RunningSetComponents) {
    this.#components = components;
  }

  /** In order of admission. */
  get requests(): readonly RunningRequest[] {
    return this.#requests;
  }

  get sequences(): Sequence[] {
    return this.#requests.flatMap((request) => request.sequences.filter((sequence) => !sequence.isFinished));
  }

  /** Cells that the requests hold or may still need; never more than there are. */
  get committedCells(): number {
    const reserved = this.sequences.reduce((sum, sequence) => sum + sequence.reservedCells, 0);
    return this.#components.slots.ledger.pinnedCells + reserved;
  }

  /** Gives a request its slots. The caller has seen that slots and cells are there. */
  begin(task: Task, answerTokens: number): RunningRequest {
    const { slots, clock } = this.#components;
    const sequences = Array.from({ length: task.choices }, (_, choice) => {
      const tokens = new Int32Array(task.prompt.length + answerTokens);
      tokens.set(task.prompt);
      const slot = slots.acquire(tokens);
      this.#beginDrawing(task, choice, slot);
      return new Sequence(task, choice, slot, tokens, slots.canShare);
    });
    const request = new RunningRequest(task, this.#admissions++, sequences, clock());
    this.#requests.push(request);
    return request;
  }

  /** Ends one choice; the last of them ends the request. */
  finishChoice(request: RunningRequest, sequence: Sequence, reason: FinishReason): void {
    const { clock, peakMemoryBytes } = this.#components;
    const { answer } = request.task;
    answer.choiceFinished(sequence.choice, reason);
    this.#release(sequence, true);
    if (request.sequences.some((other) => !other.isFinished)) return;
    this.#remove(request);
    answer.finished(request.stats(clock(), peakMemoryBytes()));
  }

  /** @param keep are the cells sound, and may they serve later prompts? */
  fail(request: RunningRequest, fault: Fault, keep: boolean): void {
    this.#remove(request);
    for (const sequence of request.sequences) {
      if (!sequence.isFinished) this.#release(sequence, keep);
    }
    request.task.answer.failed(fault);
  }

  /** Of the choices of a request only the first is kept: what they share is the prompt. */
  #release(sequence: Sequence, keep: boolean): void {
    const { slots } = this.#components;
    sequence.isFinished = true;
    const isKept = keep && sequence.choice === 0;
    if (isKept && sequence.planned > sequence.computed) slots.cutBack(sequence.slot);
    slots.release(sequence.slot, isKept);
  }

  #beginDrawing(task: Task, choice: number, slot: number): void {
    const { machine, endTokens } = this.#components;
    const { sampling, topLogprobs, resume } = task;
    machine.begin(slot, {
      sampling,
      key: seedKey(sampling.seed, choice),
      forbidden: task.ignoreEos ? [...endTokens] : [],
      prompt: needsHistory(sampling) ? task.prompt : null,
      topLogprobs,
      known: Int32Array.from(resume?.[choice]?.tokens ?? []),
    });
  }

  #remove(request: RunningRequest): void {
    request.hasEnded = true;
    this.#requests = this.#requests.filter((other) => other !== request);
  }
}
