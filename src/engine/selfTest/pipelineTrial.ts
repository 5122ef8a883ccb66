/**
 * Runs the same steps through a whole model and through its shards one after the other, and counts the numbers in
 * which the results differ: prefill, decode, several sequences in a step, and, where the model can, sequences that are
 * cut back and prefixes that are copied.
 */
import { ShoalError } from '../../shared/errors.js';
import type { Engine, StepInput, StepResult } from '../contract.js';

export interface TrialResult {
  /** Numbers of logits that were compared. */
  readonly compared: number;
  /** Of these, how many differ in any bit. */
  readonly different: number;
  /** Numbers of the last step that change when one number between the first two shards is changed a little. */
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
const PERTURBATION = 0.25;

/**
 * @param shards in order; fresh, as is `whole`, and left with cells in use
 * @param beforeStep may throw to end the trial
 */
export function pipelineTrial(
  whole: Engine,
  shards: readonly Engine[],
  beforeStep: () => void = () => undefined,
): TrialResult {
  let compared = 0;
  let different = 0;
  const both = (rows: readonly Row[]): Float32Array[] => {
    beforeStep();
    const expected = copied(whole.step(stepOf(rows)));
    const actual = throughShards(shards, stepOf(rows));
    for (const [row, logits] of expected.entries()) {
      compared += logits.length;
      different += differences(logits, actual[row]);
    }
    return actual;
  };

  both(rowsOf(0, 0, 9));
  for (let position = 9; position < 12; position += 1) both(rowsOf(0, position, 1));
  both(rowsOf(2, 0, 5));
  both([...rowsOf(0, 12, 1), ...rowsOf(2, 5, 1)]);
  if (whole.canTruncate) {
    both([...rowsOf(0, 13, 1), ...rowsOf(1, 0, 4), ...rowsOf(2, 6, 2)]);
    for (const engine of [whole, ...shards]) {
      engine.truncate(0, 7);
      engine.copyPrefix(0, 3, 6);
    }
    both([...rowsOf(0, 7, 2), ...rowsOf(3, 6, 3), ...rowsOf(1, 4, 1)]);
  }
  for (const engine of [whole, ...shards]) engine.truncate(1, 0);
  const rows = rowsOf(1, 0, 4);
  const unchanged = both(rows);
  for (const engine of shards) engine.truncate(1, 0);
  const changed = throughShards(shards, stepOf(rows), (hidden) => {
    const largest = hidden.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    hidden[0] = (hidden[0] as number) + largest * PERTURBATION;
  });
  const changes = unchanged.map((logits, row) => differences(logits, changed[row]));
  return { compared, different, changedByPerturbation: changes.reduce((sum, count) => sum + count, 0) };
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
  change: (hidden: Float32Array) => void = () => undefined,
): Float32Array[] {
  let step = input;
  for (const [index, shard] of shards.entries()) {
    const result = shard.step(step);
    if (result.kind !== 'hidden') return copied(result);
    const hidden = Float32Array.from(result.hidden);
    if (index === 0) change(hidden);
    step = { ...input, tokens: null, hidden };
  }
  throw new ShoalError('engine_error', 'The last shard gave no logits.');
}

function copied(result: StepResult): Float32Array[] {
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
