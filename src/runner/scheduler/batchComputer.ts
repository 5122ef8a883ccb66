/**
 * What computes the steps that the scheduler plans: the engine of this process, or all ranks of a model over several
 * processes, which work on several steps at once. Steps end in the order in which they were submitted.
 */
import type { Engine, StepInput } from '../../engine/contract.js';
import type { Draw, Drawn } from './drawer.js';

/** The cells that the engine has here; those of other ranks follow what is done to these. */
export type Cells = Pick<Engine, 'capacity' | 'canTruncate' | 'copyPrefix' | 'truncate'>;

/** `computed`: the rows are in the cells. Otherwise nothing has changed. */
export type Submitted = 'computed' | 'no_room' | 'aborted';

export interface BatchComputer {
  readonly cells: Cells;
  /** Steps that can be under way at once, so that nobody waits for work. */
  readonly depth: number;

  /**
   * Computes the rows as far as this process goes, and draws where their last layers are.
   * @throws {ShoalError} `engine_error` when it fails: what its sequences have in their cells is not known
   */
  submit(rows: StepInput, draws: readonly Draw[]): Submitted;

  /** What the oldest step that has ended drew, in the order of its draws; null when none has ended. */
  take(): readonly Drawn[] | null;

  /** Nothing more is drawn for a sequence. */
  forget(sequence: number): void;
}
