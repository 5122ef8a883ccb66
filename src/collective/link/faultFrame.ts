/** A fault on its way from rank to rank: bounded, and checked, since another rank may lie or be of another version. */
import { pack, unpack } from 'msgpackr';
import { type Fault, isFault } from '../../shared/errors.js';
import { culprit } from '../culprit.js';
import { WireError } from './wire.js';

const MESSAGE_CHARACTERS = 1_000;
const NAME_CHARACTERS = 256;

export function encodeFault({ code, message, details }: Fault): Uint8Array {
  const { rank, node } = (details ?? {}) as { rank?: unknown; node?: unknown };
  const name = typeof node === 'string' ? node.slice(0, NAME_CHARACTERS) : null;
  return pack({ code, message: message.slice(0, MESSAGE_CHARACTERS), rank, node: name });
}

/**
 * @param from at the other end of the link
 * @throws {WireError} when nothing can be made of it
 */
export function decodeFault(payload: Uint8Array, from: number): Fault {
  const told = read(payload);
  if (!isFault(told)) throw new WireError('an end without a reason that can be read');
  const { code, message, rank, node } = told;
  return {
    code,
    message: oneLine(message).slice(0, MESSAGE_CHARACTERS),
    details: culprit(
      Number.isSafeInteger(rank) ? (rank as number) : from,
      typeof node === 'string' ? oneLine(node).slice(0, NAME_CHARACTERS) : null,
    ),
  };
}

function read(payload: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = unpack(payload);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    // Not MessagePack: no fault.
    return {};
  }
}

/** The words of another machine go into the log of this one. */
function oneLine(text: string): string {
  return text.replace(/\p{Cc}/gu, ' ');
}
