import { ShoalError, toFault } from '../../shared/errors.js';
import { TokenHistory } from '../sampler/history.js';
import { chances } from '../sampler/logprobs.js';
import { Sampler } from '../sampler/sampler.js';
import type { Drawing, Drawn, StepPlan } from './contract.js';

interface State {
  readonly drawing: Drawing;
  readonly forbidden: ReadonlySet<number>;
  /** Null when nobody looks at it. */
  readonly history: TokenHistory | null;
  /** Tokens of the answer so far. */
  count: number;
}

const NO_HISTORY = new TokenHistory([]);

/** Draws tokens where the logits are: it remembers of each sequence how, and what was drawn. */
export class Drawer {
  readonly #sampler: Sampler;
  readonly #states = new Map<number, State>();

  constructor(vocabularySize: number) {
    this.#sampler = new Sampler(vocabularySize);
  }

  begin(sequence: number, drawing: Drawing): void {
    this.#states.set(sequence, {
      drawing,
      forbidden: new Set(drawing.forbidden),
      history: drawing.prompt === null ? null : new TokenHistory(drawing.prompt),
      count: 0,
    });
  }

  /** Has the sequence begun? */
  has(sequence: number): boolean {
    return this.#states.has(sequence);
  }

  /** @param logits of the rows with output. Whatever goes wrong with one sequence stays its own. */
  draw({ input, draws }: StepPlan, logits: readonly Float32Array[]): Drawn[] {
    const drawn: Drawn[] = [];
    let output = 0;
    for (const [row, hasOutput] of input.outputs.entries()) {
      if (hasOutput === 0) continue;
      for (const sequence of draws[output] ?? []) {
        drawn.push(this.#drawOne(sequence, logits[output]!, input.positions[row]! + 1));
      }
      output += 1;
    }
    return drawn;
  }

  #drawOne(sequence: number, logits: Float32Array, position: number): Drawn {
    const state = this.#states.get(sequence);
    if (state === undefined) throw new ShoalError('internal_error', `sequence ${sequence} has not begun`);
    const { drawing, forbidden, history } = state;
    try {
      const { sampling, key, topLogprobs, known } = drawing;
      const draw = { sampling, key, forbidden, history: history ?? NO_HISTORY, position };
      const token = known[state.count] ?? this.#sampler.draw(logits, draw);
      state.count += 1;
      history?.push(token);
      return {
        kind: 'token',
        token,
        chance: topLogprobs === null ? null : chances(logits, token, topLogprobs),
      };
    } catch (error) {
      return { kind: 'failed', fault: toFault(error) };
    }
  }
}
