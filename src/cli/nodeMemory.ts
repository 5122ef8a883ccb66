import { freemem, totalmem } from 'node:os';

export interface NodeMemory {
  readonly totalBytes: number;
  /** What a new process may take without pushing others out, within the limits of a container. */
  readonly availableBytes: number;
}

export function readNodeMemory(): NodeMemory {
  // Both are 0 or absent where the platform cannot tell.
  const limit = process.constrainedMemory?.() || Number.POSITIVE_INFINITY;
  const available = process.availableMemory?.() || freemem();
  return { totalBytes: Math.min(totalmem(), limit), availableBytes: Math.min(available, limit) };
}
