/**
 * Runs the same steps through a whole model and through its parts, shards or slices, and tells by how much the results
 * differ: prefill, decode, several sequences in a step, and, where the model can, sequences that are cut back and
 * prefixes that are copied.
 */
import { ShoalError } from '../../shared/errors.js';
import type { Engine, StepInput, StepResult } from '../contract.js';

export interface TrialResult {
  /** Numbers of logits that were compared. */
  readonly compared: number;
  /** Of these, how many differ in any bit. */
  readonly different: number;
  /** The largest difference, relative to the largest logit of its row. */
  readonly worst: number;
  /** Numbers of the last step that change when one number between the parts is changed a little. */
  readonly changedByPerturbation: number;
}

interface Row {
  readonly token: number;
  readonly position: number;
  readonly sequence: number;
}

const VOCABULARY_STEP = 29;
const VOCABULARY_USED = 90;
/** Of the largest number of a row: so much is added to one of its numbers. Less is lost where rows are rounded to 8 bits. */
export const PERTURBATION = 0.25;

/** What together computes a model. */
interface ModelParts {
  readonly engines: readonly Engine[];
  /** @param isChanged one number between the parts shall be another */
  compute(input: StepInput, isChanged: boolean): readonly Float32Array[];
}

/**
 * @param shards in order; fresh, as is `whole`, and left with cells in use
 * @param beforeStep may throw to end the trial
 */
export function pipelineTrial(
  whole: Engine,
  shards: readonly Engine[],
  beforeStep: () => void = () => undefined,
): TrialResult {
  const compute = (input: StepInput, isChanged: boolean) =>
    throughShards(shards, input, isChanged ? changeFirst : () => undefined);
  return comparisonTrial(whole, { engines: shards, compute }, beforeStep);
}

function changeFirst(hidden: Float32Array): void {
  const largest = hidden.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  hidden[0] = (hidden[0] as number) + largest * PERTURBATION;
}

/** As `pipelineTrial`, of parts that compute together in any way. */
export function comparisonTrial(whole: Engine, parts: ModelParts, beforeStep: () => void): TrialResult {
  const all = [whole, ...parts.engines];
  let compared = 0;
  let different = 0;
  let worst = 0;
  const both = (rows: readonly Row[]): readonly Float32Array[] => {
    beforeStep();
    const expected = logitsOf(whole.step(stepOf(rows)));
    const actual = parts.compute(stepOf(rows), false);
    for (const [row, logits] of expected.entries()) {
      compared += logits.length;
      different += differences(logits, actual[row]);
      worst = Math.max(worst, relativeDifference(logits, actual[row]));
    }
    return actual;
  };

  both(rowsOf(0, 0, 9));
  for (let position = 9; position < 12; position += 1) both(rowsOf(0, position, 1));
  both(rowsOf(2, 0, 5));
  both([...rowsOf(0, 12, 1), ...rowsOf(2, 5, 1)]);
  if (whole.canTruncate) {
    both([...rowsOf(0, 13, 1), ...rowsOf(1, 0, 4), ...rowsOf(2, 6, 2)]);
    for (const engine of all) {
      engine.truncate(0, 7);
      engine.copyPrefix(0, 3, 6);
    }
    both([...rowsOf(0, 7, 2), ...rowsOf(3, 6, 3), ...rowsOf(1, 4, 1)]);
  }
  for (const engine of all) engine.truncate(1, 0);
  const rows = rowsOf(1, 0, 4);
  const unchanged = both(rows);
  for (const engine of parts.engines) engine.truncate(1, 0);
  const changed = parts.compute(stepOf(rows), true);
  const changes = unchanged.map((logits, row) => differences(logits, changed[row]));
  return {
    compared,
    different,
    worst,
    changedByPerturbation: changes.reduce((sum, count) => sum + count, 0),
  };
}

function rowsOf(sequence: number, from: number, count: number): Row[] {
  return Array.from({ length: count }, (_, index) => ({
    token: ((from + index + 1) * VOCABULARY_STEP + sequence * 7) % VOCABULARY_USED,
    position: from + index,
    sequence,
  }));
}

function stepOf(rows: readonly Row[]): StepInput & { readonly tokens: Int32Array } {
  return {
    tokens: Int32Array.from(rows, ({ token }) => token),
    hidden: null,
    positions: Int32Array.from(rows, ({ position }) => position),
    sequences: Int32Array.from(rows, ({ sequence }) => sequence),
    outputs: new Uint8Array(rows.length).fill(1),
  };
}

function throughShards(
  shards: readonly Engine[],
  input: StepInput,
  change: (hidden: Float32Array) => void,
): Float32Array[] {
  let step = input;
  for (const [index, shard] of shards.entries()) {
    const result = shard.step(step);
    if (result.kind !== 'hidden') return logitsOf(result);
    const hidden = Float32Array.from(result.hidden);
    if (index === 0) change(hidden);
    step = { ...input, tokens: null, hidden };
  }
  throw new ShoalError('engine_error', 'The last shard gave no logits.');
}

/** Copies: the next step has others. */
export function logitsOf(result: StepResult): Float32Array[] {
  if (result.kind === 'logits') return result.rows.map((row) => Float32Array.from(row));
  throw new ShoalError('engine_error', `A step of a tiny model ended as "${result.kind}".`);
}

/** Numbers that differ in any bit, or are none. */
function differences(expected: Float32Array, actual: Float32Array | undefined): number {
  let count = 0;
  for (let index = 0; index < expected.length; index += 1) {
    if (!Number.isFinite(expected[index]) || expected[index] !== actual?.[index]) count += 1;
  }
  return count;
}

/** The largest difference, relative to the largest number; NaN when one is none. */
function relativeDifference(expected: Float32Array, actual: Float32Array | undefined): number {
  let largest = 0;
  let difference = 0;
  for (let index = 0; index < expected.length; index += 1) {
    largest = Math.max(largest, Math.abs(expected[index] as number));
    difference = Math.max(
      difference,
      Math.abs((expected[index] as number) - (actual?.[index] ?? Number.NaN)),
    );
  }
  return difference / largest;
}
