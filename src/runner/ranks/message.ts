/**
 * What ranks tell each other about steps: a MessagePack frame, and after it, where the next multiple of 64 bytes is,
 * hidden states as they are in memory. Nothing of another process is taken unseen.
 */
import type { StepInput } from '../../engine/contract.js';
import type { Fault } from '../../shared/errors.js';
import { encodeFrame, FrameError, FrameReader } from '../../shared/frames.js';
import { LIMITS } from '../../shared/limits.js';
import type { Drawing, Drawn, StepPlan } from '../step/contract.js';
import {
  checkCount,
  checkDrawing,
  checkDraws,
  checkSlot,
  type MessageBounds,
  readDrawn,
  readFault,
} from './messageChecks.js';

const ALIGNMENT = 64;
const LENGTH_BYTES = 4;

/** What happens to the sequences of every rank, in the order in which it was asked of the first one. */
export type SequenceOperation =
  | { readonly kind: 'begin'; readonly sequence: number; readonly drawing: Drawing }
  | { readonly kind: 'copy'; readonly from: number; readonly to: number; readonly length: number }
  | { readonly kind: 'cut'; readonly sequence: number; readonly length: number };

/** From stage to stage. */
export interface StageMessage {
  /** Before the step. */
  readonly operations: readonly SequenceOperation[];
  /** Null when there are only operations. */
  readonly step: StepPlan | null;
  /** Why a stage before could not compute it: then nobody does. */
  readonly failure: Fault | null;
}

/** From the last stage to the first: the outcome of the next step. */
export type OutcomeMessage =
  | { readonly kind: 'drawn'; readonly drawn: readonly Drawn[] }
  | { readonly kind: 'failed'; readonly fault: Fault };

interface Wire {
  readonly operations: readonly unknown[];
  readonly tokens: Uint8Array | null;
  readonly positions: Uint8Array;
  readonly sequences: Uint8Array;
  readonly outputs: Uint8Array;
  readonly draws: readonly (readonly number[])[];
  readonly failure: Fault | null;
}

/** The same as it comes: anything may be in it. */
type Unchecked = Readonly<Partial<Record<keyof Wire, unknown>>>;

/** @returns how many bytes of `room` the message takes, without hidden states */
export function writeStage(room: Uint8Array, { operations, step, failure }: StageMessage): number {
  const wire: Wire = {
    operations: operations.map(toWire),
    tokens:
      step?.input.tokens === undefined || step.input.tokens === null ? null : bytesOf(step.input.tokens),
    positions: bytesOf(step?.input.positions ?? new Int32Array(0)),
    sequences: bytesOf(step?.input.sequences ?? new Int32Array(0)),
    outputs: step?.input.outputs ?? new Uint8Array(0),
    draws: step?.draws ?? [],
    failure,
  };
  return write(room, wire);
}

/**
 * @param hiddenSize of the rows that follow; 0 when none follow
 * @throws {FrameError} when the message is not as it must be. Whether its rows continue their sequences the engine sees.
 */
export function readStage(bytes: Uint8Array, hiddenSize: number, bounds: MessageBounds): StageMessage {
  const { message, end } = read(bytes);
  const wire = (message ?? {}) as Unchecked;
  if (!Array.isArray(wire.operations) || !Array.isArray(wire.draws))
    throw new FrameError('no step of a model');
  const operations = wire.operations.map((operation) => fromWire(operation, bounds));
  const positions = integers(wire.positions);
  const rows = positions.length;
  if (rows === 0) return { operations, step: null, failure: null };
  const failure = wire.failure === null ? null : readFault(wire.failure);
  const { outputs } = wire;
  if (!(outputs instanceof Uint8Array)) throw new FrameError('a step without outputs');
  const input: StepInput = {
    tokens: wire.tokens === null ? null : integers(wire.tokens),
    hidden: failure === null && hiddenSize > 0 ? floats(bytes, end, rows * hiddenSize) : null,
    positions,
    sequences: integers(wire.sequences),
    outputs: Uint8Array.from(outputs),
  };
  const isEven = [input.sequences, input.outputs].every(({ length }) => length === rows);
  const drawn = input.outputs.reduce((sum, output) => sum + (output === 0 ? 0 : 1), 0);
  if (!isEven || wire.draws.length !== drawn) throw new FrameError('a step of uneven rows');
  checkDraws(wire.draws, bounds);
  return { operations, step: { input, draws: wire.draws as StepPlan['draws'] }, failure };
}

/** Where hidden states stand after a message of that many bytes. */
export function afterMessage(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

export function writeOutcome(room: Uint8Array, outcome: OutcomeMessage): number {
  return write(room, outcome);
}

/**
 * @param draws tokens that the step was to draw
 * @throws {FrameError} when the message is not as it must be
 */
export function readOutcome(bytes: Uint8Array, draws: number, bounds: MessageBounds): OutcomeMessage {
  const { message } = read(bytes);
  const { kind, drawn, fault } = (message ?? {}) as Record<'kind' | 'drawn' | 'fault', unknown>;
  if (kind === 'failed') return { kind, fault: readFault(fault) };
  if (kind === 'drawn') return { kind, drawn: readDrawn(drawn, draws, bounds) };
  throw new FrameError('no outcome of a step');
}

function write(room: Uint8Array, message: unknown): number {
  const frame = encodeFrame(message, Math.min(LIMITS.runnerFrameBytes, room.length - LENGTH_BYTES));
  room.set(frame);
  return frame.length;
}

function read(bytes: Uint8Array): { readonly message: unknown; readonly end: number } {
  if (bytes.length < LENGTH_BYTES) throw new FrameError(`a message of ${bytes.length} bytes`);
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const end = LENGTH_BYTES + length;
  if (end > bytes.length) throw new FrameError(`a message of ${bytes.length} bytes instead of ${end}`);
  const [message] = new FrameReader(LIMITS.runnerFrameBytes).push(Buffer.from(bytes.slice(0, end)));
  return { message, end };
}

function floats(bytes: Uint8Array, end: number, length: number): Float32Array {
  const at = afterMessage(end);
  if (bytes.length !== at + length * Float32Array.BYTES_PER_ELEMENT) {
    throw new FrameError(`${bytes.length - at} bytes of hidden states, which are ${length} numbers`);
  }
  return new Float32Array(bytes.buffer, bytes.byteOffset + at, length);
}

function toWire(operation: SequenceOperation): unknown {
  if (operation.kind !== 'begin') return operation;
  const { drawing } = operation;
  const prompt = drawing.prompt === null ? null : bytesOf(drawing.prompt);
  return { ...operation, drawing: { ...drawing, prompt, known: bytesOf(drawing.known) } };
}

function fromWire(wire: unknown, bounds: MessageBounds): SequenceOperation {
  const operation = (wire ?? {}) as SequenceOperation;
  switch (operation.kind) {
    case 'copy':
      checkSlot(operation.from, bounds);
      checkSlot(operation.to, bounds);
      checkCount(operation.length);
      return operation;
    case 'cut':
      checkSlot(operation.sequence, bounds);
      checkCount(operation.length);
      return operation;
    case 'begin': {
      checkSlot(operation.sequence, bounds);
      const { prompt, known, ...rest } = (operation.drawing ?? {}) as unknown as Record<string, unknown>;
      const read = { prompt: prompt === null ? null : integers(prompt), known: integers(known) };
      const drawing = { ...rest, ...read } as Drawing;
      checkDrawing(drawing, bounds);
      return { ...operation, drawing };
    }
    default:
      throw new FrameError('no operation on a sequence');
  }
}

function bytesOf(integerList: Int32Array): Uint8Array {
  return new Uint8Array(integerList.buffer, integerList.byteOffset, integerList.byteLength);
}

function integers(bytes: unknown): Int32Array {
  if (!(bytes instanceof Uint8Array) || bytes.length % Int32Array.BYTES_PER_ELEMENT !== 0) {
    throw new FrameError('no list of integers');
  }
  return new Int32Array(Uint8Array.from(bytes).buffer);
}
