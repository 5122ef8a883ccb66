import type { Engine, EngineCapacity, StepResult } from '../../engine/contract.js';
import { ShoalError } from '../../shared/errors.js';
import type { Drawing, StepMachine, StepOutcome, StepPlan } from './contract.js';
import { Drawer } from './drawer.js';

/** Computes steps with one engine that has the whole model; each has its outcome at once. */
export class WholeModel implements StepMachine {
  readonly depth = 1;
  readonly #engine: Engine;
  readonly #drawer: Drawer;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#drawer = new Drawer(engine.shape.vocabularySize);
  }

  get capacity(): EngineCapacity {
    return this.#engine.capacity;
  }

  get canTruncate(): boolean {
    return this.#engine.canTruncate;
  }

  begin(sequence: number, drawing: Drawing): void {
    this.#drawer.begin(sequence, drawing);
  }

  copyPrefix(from: number, to: number, length: number): void {
    this.#engine.copyPrefix(from, to, length);
  }

  truncate(sequence: number, length: number): boolean {
    return this.#engine.truncate(sequence, length);
  }

  submit(plan: StepPlan): StepOutcome {
    const result = stepOf(this.#engine, plan);
    return result.kind === 'logits'
      ? { kind: 'drawn', drawn: this.#drawer.draw(plan, result.rows) }
      : outcomeOf(result);
  }

  take(): null {
    return null;
  }
}

export type Failed = { readonly kind: 'failed'; readonly error: ShoalError };

/** One step of an engine, whose failure is a result as well. An abort is for this step and no later one. */
export function stepOf(engine: Engine, { input }: Pick<StepPlan, 'input'>): StepResult | Failed {
  try {
    const result = engine.step(input);
    if (result.kind === 'aborted') Atomics.store(engine.abortFlag, 0, 0);
    return result;
  } catch (error) {
    if (error instanceof ShoalError) return { kind: 'failed', error };
    throw error;
  }
}

/** What a step is to the scheduler when it has computed nothing. */
export function outcomeOf(result: Exclude<StepResult | Failed, { kind: 'logits' }>): StepOutcome {
  if (result.kind !== 'hidden' && result.kind !== 'added') return result;
  return {
    kind: 'failed',
    error: new ShoalError('engine_error', 'The engine of a whole model gave a part of a step.'),
  };
}
