/** When the next attempt is due: twice as late each time, spread so that what failed together does not return together. */
import { TIMES } from '../../shared/limits.js';

/** Share of a delay that the jitter may take off. */
const JITTER = 0.25;

/**
 * @param failures in a row, from 1
 * @param subject whose attempts they are: the same subject and count give the same delay
 */
export function attemptDelayMs(failures: number, subject: string): number {
  const fullMs = Math.min(TIMES.attemptMaxMs, TIMES.attemptBaseMs * 2 ** (failures - 1));
  return Math.round(fullMs * (1 - JITTER * spread(`${subject} ${failures}`)));
}

/**
 * Is it time? A wall clock that was set back past the moment when the time was said would make it never: then it is.
 * @param attempt null = at once
 */
export function isDue(
  attempt: { readonly at: number; readonly saidAt: number } | null,
  now: number,
): boolean {
  return attempt === null || now >= attempt.at || now < attempt.saidAt;
}

/** From 0 to 1, by the hash of a text (FNV-1a, 32 bits). */
function spread(text: string): number {
  return hash(text) / 2 ** 32;
}

export function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) {
    value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  }
  return value >>> 0;
}
