/**
 * The first rank of a pipeline. It computes its own layers and sends the hidden states on; the last rank sends back the
 * tokens that it drew. Meanwhile the next step can begin, so that with several sequences every rank has work.
 */
import type { Engine, StepInput } from '../../engine/contract.js';
import { ShoalError } from '../../shared/errors.js';
import type { BatchComputer, Cells, Submitted } from '../scheduler/batchComputer.js';
import type { Draw, Drawn } from '../scheduler/drawer.js';
import { readDrawn } from './drawnFrame.js';
import type { FrameReceiver, FrameSender } from './rankLinks.js';
import { RecordedCells } from './recordedCells.js';
import { writeHidden, writeStep } from './stepFrame.js';

export interface PipelineComponents {
  readonly engine: Engine;
  /** To the next rank. */
  readonly next: FrameSender;
  /** From the last rank. */
  readonly last: FrameReceiver;
}

export interface PipelineOptions {
  readonly worldSize: number;
  /** Can every rank cut its sequences at any position? */
  readonly canTruncate: boolean;
}

export class PipelineComputer implements BatchComputer {
  readonly depth: number;
  readonly #components: PipelineComponents;
  readonly #cells: RecordedCells;
  #forgotten: number[] = [];
  #sent = 0;
  #taken = 0;

  constructor(components: PipelineComponents, { worldSize, canTruncate }: PipelineOptions) {
    this.#components = components;
    this.depth = worldSize;
    this.#cells = new RecordedCells(components.engine, canTruncate);
  }

  get cells(): Cells {
    return this.#cells;
  }

  submit(rows: StepInput, draws: readonly Draw[]): Submitted {
    const { engine, next } = this.#components;
    const result = engine.step(rows);
    if (result.kind === 'no_room') return 'no_room';
    if (result.kind === 'aborted') {
      // Nobody else has heard of the step: it is planned anew without the cancelled request.
      Atomics.store(engine.abortFlag, 0, 0);
      return 'aborted';
    }
    if (result.kind !== 'hidden') {
      throw new ShoalError('engine_error', `The first rank answered a step with ${result.kind}.`);
    }
    const { frame } = next;
    const words = { operations: this.#cells.takeOperations(), draws, forgotten: this.#forgotten };
    this.#forgotten = [];
    const headBytes = writeStep(frame, this.#sent, rows, words);
    next.send(this.#sent, writeHidden(frame, headBytes, result.hidden));
    this.#sent = (this.#sent + 1) >>> 0;
    return 'computed';
  }

  take(): readonly Drawn[] | null {
    const frame = this.#components.last.take();
    if (frame === null) return null;
    if (frame.tag !== this.#taken) {
      const reason = `The last rank sent tokens of step ${frame.tag} instead of ${this.#taken}.`;
      throw new ShoalError('peer_protocol_error', reason);
    }
    this.#taken = (this.#taken + 1) >>> 0;
    return readDrawn(frame.bytes);
  }

  forget(sequence: number): void {
    this.#forgotten.push(sequence);
  }
}
