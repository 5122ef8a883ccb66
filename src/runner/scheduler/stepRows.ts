import type { StepInput } from '../../engine/contract.js';
import type { RunningRequest } from './runningRequest.js';
import type { Sequence } from './sequence.js';

/** What one sequence has computed in a step: `count` tokens after those that it has, or that are on their way. */
export interface PlannedRows {
  readonly request: RunningRequest;
  readonly sequence: Sequence;
  readonly count: number;
  /** Are the logits of its last row wanted? */
  readonly hasOutput: boolean;
}

/** Writes planned rows into the arrays that the engine reads. The arrays are used again for each step. */
export class StepRows {
  readonly #tokens: Int32Array;
  readonly #positions: Int32Array;
  readonly #sequences: Int32Array;
  readonly #outputs: Uint8Array;

  constructor(batchRows: number) {
    this.#tokens = new Int32Array(batchRows);
    this.#positions = new Int32Array(batchRows);
    this.#sequences = new Int32Array(batchRows);
    this.#outputs = new Uint8Array(batchRows);
  }

  fill(plan: readonly PlannedRows[]): StepInput {
    let row = 0;
    for (const { sequence, count, hasOutput } of plan) {
      for (let index = 0; index < count; index++) {
        const position = sequence.planned + index;
        this.#tokens[row] = sequence.tokens[position]!;
        this.#positions[row] = position;
        this.#sequences[row] = sequence.slot;
        this.#outputs[row] = hasOutput && index === count - 1 ? 1 : 0;
        row += 1;
      }
    }
    return {
      tokens: this.#tokens.subarray(0, row),
      hidden: null,
      positions: this.#positions.subarray(0, row),
      sequences: this.#sequences.subarray(0, row),
      outputs: this.#outputs.subarray(0, row),
    };
  }
}
