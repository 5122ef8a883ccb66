import type { Engine } from '../../engine/contract.js';
import type { Cells } from '../scheduler/batchComputer.js';
import type { CellOperation } from './stepFrame.js';

/** The cells of this rank. What is done to them is remembered until the other ranks are told, with the next step. */
export class RecordedCells implements Cells {
  readonly capacity: Engine['capacity'];
  /** Can every rank cut its sequences? */
  readonly canTruncate: boolean;
  readonly #engine: Engine;
  #operations: CellOperation[] = [];

  constructor(engine: Engine, canTruncate: boolean) {
    this.#engine = engine;
    this.capacity = engine.capacity;
    this.canTruncate = canTruncate;
  }

  copyPrefix(from: number, to: number, length: number): void {
    this.#engine.copyPrefix(from, to, length);
    this.#operations.push({ kind: 'copy', from, to, length });
  }

  truncate(sequence: number, length: number): boolean {
    const isDone = this.#engine.truncate(sequence, length);
    if (isDone) this.#operations.push({ kind: 'truncate', sequence, length });
    return isDone;
  }

  /** In the order in which they were done, since the last call. */
  takeOperations(): CellOperation[] {
    const operations = this.#operations;
    this.#operations = [];
    return operations;
  }
}
