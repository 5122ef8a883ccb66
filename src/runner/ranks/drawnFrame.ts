/** What the last rank drew in a step, on its way to the first: MessagePack in memory that both threads share. */
import { Packr } from 'msgpackr';
import { ShoalError } from '../../shared/errors.js';
import { LIMITS } from '../../shared/limits.js';
import type { Drawn } from '../scheduler/drawer.js';

const packr = new Packr({ useRecords: false });

/** Bytes that the tokens of so many rows may take, with what is told of their chances. */
export function drawnBytes(rows: number): number {
  return LIMITS.drawnRowBytes * Math.max(1, rows);
}

/** @returns the length @throws {ShoalError} `engine_error` when it is longer than there is room */
export function writeDrawn(frame: Uint8Array, drawn: readonly Drawn[]): number {
  const packed = packr.pack(drawn);
  if (packed.length > frame.length) {
    throw new ShoalError('engine_error', `What was drawn in a step has ${packed.length} bytes.`);
  }
  frame.set(packed);
  return packed.length;
}

/** @throws {ShoalError} `peer_protocol_error` when it is none */
export function readDrawn(frame: Uint8Array): readonly Drawn[] {
  let drawn: unknown;
  try {
    drawn = packr.unpack(frame.slice());
  } catch (error) {
    throw malformed((error as Error).message);
  }
  if (!Array.isArray(drawn) || !drawn.every(isDrawn)) throw malformed('it has no tokens');
  return drawn;
}

function isDrawn(value: unknown): value is Drawn {
  const { token, fault } = (value ?? {}) as { readonly token?: unknown; readonly fault?: unknown };
  return Number.isInteger(token) || (typeof fault === 'object' && fault !== null);
}

function malformed(why: string): ShoalError {
  return new ShoalError('peer_protocol_error', `The last rank sent tokens that cannot be read: ${why}.`);
}
