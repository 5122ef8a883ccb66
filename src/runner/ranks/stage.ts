/**
 * Any rank of a pipeline but the first: takes a step from the rank before it, does to its cells what the first rank did
 * to its own, computes its layers, and sends the hidden states on. The last one draws, and sends the tokens to the first.
 */
import type { Engine } from '../../engine/contract.js';
import { ShoalError } from '../../shared/errors.js';
import type { Drawer } from '../scheduler/drawer.js';
import { writeDrawn } from './drawnFrame.js';
import type { FrameReceiver, FrameSender } from './rankLinks.js';
import { type CellOperation, type ReadStep, readStep, writeHidden } from './stepFrame.js';

export interface StageComponents {
  readonly engine: Engine;
  readonly before: FrameReceiver;
  /** The next rank, or from the last one the first. */
  readonly next: FrameSender;
  /** Of the last rank; else null. */
  readonly drawer: Drawer | null;
  /** Told before a step of so many rows, and with 0 rows after it. */
  readonly onStep: (rows: number) => void;
}

export class Stage {
  readonly #components: StageComponents;
  readonly #hiddenSize: number;

  constructor(components: StageComponents) {
    this.#components = components;
    this.#hiddenSize = components.engine.shape.hiddenSize;
  }

  /**
   * Computes the next step, if one has come. False when none has.
   * @throws {ShoalError} the fault that ended the links, or `engine_error`: this rank is out of step with the others then
   */
  step(): boolean {
    const { engine, before, onStep } = this.#components;
    const frame = before.take();
    if (frame === null) return false;
    const step = readStep(frame.bytes, this.#hiddenSize);
    for (const operation of step.words.operations) apply(engine, operation);
    onStep(step.rows.positions.length);
    const result = engine.step(step.rows);
    onStep(0);
    if (result.kind === 'hidden') this.#passOn(frame.bytes, step, result.hidden);
    else if (result.kind === 'logits') this.#draw(step, result.rows);
    else throw new ShoalError('engine_error', `This rank answered a step with ${result.kind}.`);
    return true;
  }

  #passOn(from: Uint8Array, { headBytes, step }: ReadStep, hidden: Float32Array): void {
    const { next } = this.#components;
    const { frame } = next;
    frame.set(from.subarray(0, headBytes));
    next.send(step, writeHidden(frame, headBytes, hidden));
  }

  #draw({ step, words }: ReadStep, logits: readonly Float32Array[]): void {
    const { drawer, next } = this.#components;
    if (drawer === null) throw new ShoalError('engine_error', 'Only the last rank has logits.');
    for (const sequence of words.forgotten) drawer.forget(sequence);
    const drawn = words.draws.map((draw) => {
      const row = logits[draw.output];
      if (row === undefined)
        throw new ShoalError('peer_protocol_error', `There is no output ${draw.output}.`);
      return drawer.draw(draw, row);
    });
    const { frame } = next;
    next.send(step, writeDrawn(frame, drawn));
  }
}

function apply(engine: Engine, operation: CellOperation): void {
  if (operation.kind === 'copy') engine.copyPrefix(operation.from, operation.to, operation.length);
  else if (!engine.truncate(operation.sequence, operation.length)) {
    throw new ShoalError(
      'engine_error',
      `Sequence ${operation.sequence} could not be cut as on the first rank.`,
    );
  }
}
