/** What a rank in a thread of its own is told, and what it answers. */
import type { MessagePort } from 'node:worker_threads';
import type { StepInput } from '../../../src/engine/contract.js';
import type { SliceOptions } from '../../../src/engine/llama/slice/open.js';
import type { ErrorCode } from '../../../src/shared/errors.js';
import type { Perturbation } from './sharedSums.js';

export interface RankData {
  readonly port: MessagePort;
  /** Numbers of commands that were asked for, and answered. */
  readonly control: Int32Array;
}

export const CONTROL = { asked: 0, answered: 1 } as const;

/**
 * Blocks until a number of `control` has changed. A wait that was woken proves nothing: `notify` comes after the number,
 * and when its thread was halted between the two, it wakes who waits already for the next number.
 * @returns whether it has changed within the limit
 */
export function waitForChange(
  control: Int32Array,
  index: number,
  from: number,
  limitMs = Number.POSITIVE_INFINITY,
): boolean {
  while (Atomics.load(control, index) === from) {
    if (Atomics.wait(control, index, from, limitMs) === 'timed-out') return false;
  }
  return true;
}

export type Command =
  | {
      readonly kind: 'open';
      readonly rank: number;
      readonly memory: SharedArrayBuffer;
      readonly options: Omit<SliceOptions, 'rank' | 'allReduce' | 'onProgress'>;
    }
  | { readonly kind: 'step'; readonly input: StepInput }
  | { readonly kind: 'copyPrefix'; readonly from: number; readonly to: number; readonly length: number }
  | { readonly kind: 'truncate'; readonly sequence: number; readonly length: number }
  | { readonly kind: 'perturb'; readonly perturbation: Perturbation | null }
  | { readonly kind: 'close' };

export type Answer = { readonly result: unknown } | { readonly code: ErrorCode; readonly message: string };
