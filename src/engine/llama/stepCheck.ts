/** Checks the rows of a step against the model and the ledger; native code takes them on trust. */
import type { EngineCapacity, ShardShape, StepInput } from '../contract.js';
import { StepRefused } from '../stepRefused.js';
import type { CellLedger } from './cellLedger.js';

export interface StepPlan {
  readonly outputs: number;
  /** Sequences that have rows in this step. */
  readonly sequences: readonly number[];
}

/** @throws {ShoalError} `engine_error` naming the row and what is wrong with it */
export function checkStep(
  input: StepInput,
  capacity: EngineCapacity,
  shape: ShardShape,
  ledger: CellLedger,
): StepPlan {
  const { positions, sequences, outputs } = input;
  const rows = positions.length;
  if (rows === 0) throw wrong('a step needs at least one row');
  if (rows > capacity.batchRows) throw wrong(`${rows} rows, but a step has at most ${capacity.batchRows}`);
  if (sequences.length !== rows || outputs.length !== rows) {
    throw wrong('positions, sequences and outputs differ in length');
  }
  checkContents(input, shape);

  const next = new Map<number, number>();
  let outputRows = 0;
  for (let row = 0; row < rows; row += 1) {
    const sequence = sequences[row] as number;
    const position = positions[row] as number;
    checkSequence(sequence, capacity);
    const expected = next.get(sequence) ?? ledger.length(sequence);
    if (position !== expected) {
      throw wrong(
        `row ${row}: position ${position} of sequence ${sequence}, but the next one is ${expected}`,
      );
    }
    next.set(sequence, expected + 1);
    if (outputs[row] !== 0) outputRows += 1;
  }
  if (outputRows > capacity.outputRows) {
    throw wrong(`${outputRows} rows ask for logits, but at most ${capacity.outputRows} may`);
  }
  return { outputs: outputRows, sequences: [...next.keys()] };
}

function checkContents({ tokens, hidden, positions }: StepInput, shape: ShardShape): void {
  const rows = positions.length;
  if (shape.firstLayer > 0) {
    if (tokens !== null || hidden === null) throw wrong('a later shard takes hidden states, not tokens');
    if (hidden.length !== rows * shape.hiddenSize) {
      throw wrong(`${hidden.length} numbers are not ${rows} hidden states of ${shape.hiddenSize}`);
    }
    if (!areFinite(hidden)) throw wrong('the hidden states hold something that is no number');
    return;
  }
  if (tokens === null || hidden !== null) throw wrong('the first shard takes tokens, not hidden states');
  if (tokens.length !== rows) throw wrong('tokens and positions differ in length');
  for (let row = 0; row < rows; row += 1) {
    const token = tokens[row] as number;
    if (token >= 0 && token < shape.vocabularySize) continue;
    throw wrong(`row ${row}: token ${token} is outside of the vocabulary of ${shape.vocabularySize}`);
  }
}

/** One NaN in the cache may spread to other sequences: kernels multiply what is masked with 0. */
function areFinite(values: Float32Array): boolean {
  let sum = 0;
  for (let index = 0; index < values.length; index += 1) sum += (values[index] as number) * 0;
  return sum === 0;
}

/** @throws {ShoalError} `engine_error` unless there is a slot of this number */
export function checkSequence(sequence: number, capacity: EngineCapacity): void {
  if (Number.isInteger(sequence) && sequence >= 0 && sequence < capacity.sequences) return;
  throw wrong(`sequence ${sequence} is not one of the ${capacity.sequences} slots`);
}

/** @throws {ShoalError} `engine_error` unless the sequence has at least so many positions */
export function checkLength(length: number, sequence: number, ledger: CellLedger): void {
  if (Number.isInteger(length) && length >= 0 && length <= ledger.length(sequence)) return;
  throw wrong(`length ${length} of sequence ${sequence}, which has ${ledger.length(sequence)} positions`);
}

export function wrong(what: string): StepRefused {
  return new StepRefused(what);
}
