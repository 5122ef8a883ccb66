import type { Engine, StepInput } from '../../engine/contract.js';
import { ShoalError } from '../../shared/errors.js';
import type { BatchComputer, Submitted } from './batchComputer.js';
import { type Draw, Drawer, type Drawn } from './drawer.js';

/** A whole model in this process: a step has ended when it was submitted. */
export class LocalComputer implements BatchComputer {
  readonly depth = 1;
  readonly #engine: Engine;
  readonly #drawer: Drawer;
  readonly #ended: (readonly Drawn[])[] = [];

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#drawer = new Drawer(engine.shape.vocabularySize);
  }

  get cells(): Engine {
    return this.#engine;
  }

  submit(rows: StepInput, draws: readonly Draw[]): Submitted {
    const result = this.#engine.step(rows);
    switch (result.kind) {
      case 'logits':
        this.#ended.push(draws.map((draw) => this.#drawer.draw(draw, result.rows[draw.output]!)));
        return 'computed';
      case 'no_room':
        return 'no_room';
      case 'aborted':
        // Whoever set the flag has sent a cancel as well; the rows are planned anew without the cancelled request.
        Atomics.store(this.#engine.abortFlag, 0, 0);
        return 'aborted';
      default:
        throw new ShoalError('engine_error', `The engine answered a step with ${result.kind}.`);
    }
  }

  take(): readonly Drawn[] | null {
    return this.#ended.shift() ?? null;
  }

  forget(sequence: number): void {
    this.#drawer.forget(sequence);
  }
}
