/**
 * A pipeline of two stages on fake engines, without processes: the first computes when a step is submitted, the second,
 * which draws, some looks later. Both keep the real rules of cells, so that a mix-up of operations on either shows.
 */
import type { EngineCapacity } from '../../engine/contract.js';
import { ShoalError } from '../../shared/errors.js';
import type { Drawing, StepMachine, StepOutcome, StepPlan } from '../step/contract.js';
import { WholeModel } from '../step/wholeModel.js';
import { FakeEngine } from './fakeEngine.js';

interface Message {
  readonly operations: readonly (() => void)[];
  readonly plan: StepPlan;
  /** Looks until it has been computed. */
  looksLeft: number;
}

export class FakePipeline implements StepMachine {
  readonly depth: number;
  readonly last: FakeEngine;
  /** Most steps that were on their way at once. */
  mostUnderway = 0;
  readonly #first: FakeEngine;
  readonly #firstStage: WholeModel;
  readonly #lastStage: WholeModel;
  readonly #delay: () => number;
  readonly #underway: Message[] = [];
  #operations: (() => void)[] = [];
  /** A step that was on its way together with the next one has failed. */
  #hasFailed = false;

  /** @param delay looks until the next step has been computed */
  constructor(first: FakeEngine, depth: number, delay: () => number) {
    const { vocabularySize } = first.shape;
    this.depth = depth;
    this.last = new FakeEngine({ ...first.capacity, vocabularySize, canTruncate: first.canTruncate });
    this.#first = first;
    this.#firstStage = new WholeModel(first);
    this.#lastStage = new WholeModel(this.last);
    this.#delay = delay;
  }

  get capacity(): EngineCapacity {
    return this.#first.capacity;
  }

  get canTruncate(): boolean {
    return this.#first.canTruncate;
  }

  begin(sequence: number, drawing: Drawing): void {
    this.#firstStage.begin(sequence, drawing);
    this.#operations.push(() => this.#lastStage.begin(sequence, drawing));
  }

  copyPrefix(from: number, to: number, length: number): void {
    this.#first.copyPrefix(from, to, length);
    this.#operations.push(() => this.last.copyPrefix(from, to, length));
  }

  truncate(sequence: number, length: number): boolean {
    if (!this.#first.truncate(sequence, length)) return false;
    this.#operations.push(() => {
      if (!this.last.truncate(sequence, length)) throw new Error(`sequence ${sequence} is out of step`);
    });
    return true;
  }

  submit({ input, draws }: StepPlan): StepOutcome | null {
    const outcome = this.#firstStage.submit({ input, draws });
    if (outcome.kind !== 'drawn') return outcome;
    const copy = {
      tokens: Int32Array.from(input.tokens!),
      hidden: null,
      positions: Int32Array.from(input.positions),
      sequences: Int32Array.from(input.sequences),
      outputs: Uint8Array.from(input.outputs),
    };
    const plan = { input: copy, draws };
    this.#underway.push({ operations: this.#operations.splice(0), plan, looksLeft: this.#delay() });
    if (this.#underway.length > this.depth) throw new Error('more steps are on their way than may be');
    this.mostUnderway = Math.max(this.mostUnderway, this.#underway.length);
    return null;
  }

  take(): StepOutcome | null {
    const next = this.#underway[0];
    if (next === undefined || next.looksLeft-- > 0) return null;
    this.#underway.shift();
    for (const perform of next.operations) perform();
    const outcome = this.#compute(next.plan);
    this.#hasFailed = (this.#hasFailed || outcome.kind !== 'drawn') && this.#underway.length > 0;
    return outcome;
  }

  /** Rows that follow others which have failed stand nowhere: the native engine refuses them, the fake one throws. */
  #compute(plan: StepPlan): StepOutcome {
    try {
      return this.#lastStage.submit(plan);
    } catch (error) {
      if (!this.#hasFailed) throw error;
      return { kind: 'failed', error: new ShoalError('engine_error', (error as Error).message) };
    }
  }

  /** Does on the last stage what no step has carried there yet. */
  settle(): void {
    for (const perform of this.#operations.splice(0)) perform();
  }
}
