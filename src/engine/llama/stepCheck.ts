/** Checks the rows of a step against the model and the ledger; native code takes them on trust. */
import { ShoalError } from '../../shared/errors.js';
import type { EngineCapacity, StepInput } from '../contract.js';
import type { CellLedger } from './cellLedger.js';

export interface StepPlan {
  readonly outputs: number;
  /** Sequences that have rows in this step. */
  readonly sequences: readonly number[];
}

/**
 * @param vocabularySize tokens are below this
 * @throws {ShoalError} `engine_error` naming the row and what is wrong with it
 */
export function checkStep(
  input: StepInput,
  capacity: EngineCapacity,
  vocabularySize: number,
  ledger: CellLedger,
): StepPlan {
  const { tokens, hidden, positions, sequences, outputs } = input;
  if (tokens === null || hidden !== null) throw wrong('the first shard takes tokens, not hidden states');
  const rows = tokens.length;
  if (rows === 0) throw wrong('a step needs at least one row');
  if (rows > capacity.batchRows) throw wrong(`${rows} rows, but a step has at most ${capacity.batchRows}`);
  if (positions.length !== rows || sequences.length !== rows || outputs.length !== rows) {
    throw wrong('tokens, positions, sequences and outputs differ in length');
  }

  const next = new Map<number, number>();
  let outputRows = 0;
  for (let row = 0; row < rows; row += 1) {
    const token = tokens[row] as number;
    const sequence = sequences[row] as number;
    const position = positions[row] as number;
    if (token < 0 || token >= vocabularySize) {
      throw wrong(`row ${row}: token ${token} is outside of the vocabulary of ${vocabularySize}`);
    }
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

export function wrong(what: string): ShoalError {
  return new ShoalError('engine_error', `A step was refused: ${what}.`);
}
