/**
 * A call to another node: a stream of its own with the name of the call and its deadline in the head, one frame with
 * the body there, one frame with the reply or a fault back. Closing the stream before the reply takes the call back.
 */
import type { Fault } from '../../shared/errors.js';

/** Raised when frames or head change. The calls themselves are told apart by their names. */
export const CALL_PROTOCOL_VERSION = 1;

/** Kind of the streams. */
export const CALL_STREAM = 'call';

export interface CallHead {
  readonly version: number;
  /** Name of the call. */
  readonly call: string;
  /** Milliseconds that the caller waits. */
  readonly timeoutMs: number;
}

export type CallReply = { readonly reply: unknown } | { readonly fault: Fault };

/** How far a head names a call: null when it is of another version, or none. */
export function readCallHead(received: unknown): CallHead | null {
  const { version, call, timeoutMs } = (received ?? {}) as Record<string, unknown>;
  if (version !== CALL_PROTOCOL_VERSION || typeof call !== 'string') return null;
  if (typeof timeoutMs !== 'number' || !(timeoutMs > 0)) return null;
  return { version, call, timeoutMs };
}
