/** Faults that another node reports, checked: it may be of another version, or lie. */
import { ERRORS, type ErrorCode, type Fault } from '../../shared/errors.js';
import type { NodeId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';

/** The fault that `from` reported, bounded and safe to be written as JSON; `peer_protocol_error` when it is none. */
export function readFault(reported: unknown, from: NodeId): Fault {
  const { code, message, param, details, retryAfterMs } = (reported ?? {}) as Record<string, unknown>;
  if (typeof code !== 'string' || typeof message !== 'string') {
    return notUnderstood(from, 'it reported a fault without code and message');
  }
  if (!Object.hasOwn(ERRORS, code)) {
    return notUnderstood(from, `it reported the unknown fault ${cut(code)}: ${cut(message)}`);
  }
  return {
    code: code as ErrorCode,
    message: cut(message),
    ...(typeof param === 'string' ? { param: cut(param) } : {}),
    ...jsonDetails(details),
    ...(isDuration(retryAfterMs) ? { retryAfterMs } : {}),
  };
}

/** A fault of this node as it can be sent: none is ever too long for a frame. */
export function boundedFault(fault: Fault): Fault {
  const { details, ...rest } = fault;
  return { ...rest, message: cut(fault.message), ...jsonDetails(details) };
}

/** Why nothing can be made of what a node said. */
export function notUnderstood(from: NodeId, reason: string): Fault {
  return { code: 'peer_protocol_error', message: `node ${from} is not understood: ${reason}` };
}

/** A node went away in the middle of something. */
export function nodeLost(nodeId: NodeId, reason: string): Fault {
  return {
    code: 'node_lost',
    message: `the stream to node ${nodeId} broke: ${reason}`,
    details: { node_id: nodeId },
  };
}

/** As many streams of other nodes are open here as are allowed. */
export function tooManyStreams(limit: number): Fault {
  return {
    code: 'queue_full',
    message: `this node works on ${limit} of these for other nodes already`,
    retryAfterMs: TIMES.retryAfterMs,
  };
}

function cut(text: string): string {
  return text.slice(0, LIMITS.faultMessageCharacters);
}

function isDuration(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

/** MessagePack has values that JSON has not; details with such a value, or without end, are left out. */
export function jsonDetails(value: unknown): Pick<Fault, 'details'> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return {};
  if (!isShallow(value, LIMITS.jsonDepth)) return {};
  const text = jsonText(value);
  if (text === null || text.length > LIMITS.faultDetailsCharacters) return {};
  return { details: JSON.parse(text) as Record<string, unknown> };
}

function isShallow(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return depth > 0 && Object.values(value).every((part) => isShallow(part, depth - 1));
}

function jsonText(value: object): string | null {
  try {
    return JSON.stringify(value);
  } catch (error) {
    // A big integer, or objects nested past the stack.
    if (error instanceof TypeError || error instanceof RangeError) return null;
    throw error;
  }
}
