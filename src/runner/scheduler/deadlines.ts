import { type Fault, ShoalError } from '../../shared/errors.js';
import { TIMES } from '../../shared/limits.js';
import type { Task } from './task.js';

/** When a request reached each stage, on the scheduler's clock; null = not yet. */
export interface Progress {
  readonly admittedAtMs: number | null;
  readonly firstTokenAtMs: number | null;
  readonly lastTokenAtMs: number | null;
}

/**
 * The fault of a request that has used up one of its deadlines, or null. The total counts from receipt; waiting in
 * the queue likewise; the first token from admission, with an allowance for each prompt token; each further token
 * from the one before.
 */
export function exceededDeadline(task: Task, progress: Progress, nowMs: number): Fault | null {
  const { admittedAtMs, firstTokenAtMs, lastTokenAtMs } = progress;
  const phase = admittedAtMs === null ? 'queue' : firstTokenAtMs === null ? 'first token' : 'between tokens';
  if (nowMs - task.receivedAtMs > task.deadlineMs) {
    return fault(phase, `the whole request within ${task.deadlineMs} ms; it was in the phase "${phase}"`);
  }
  if (admittedAtMs === null) {
    const limitMs = TIMES.queueDeadlineMs;
    return nowMs - task.receivedAtMs > limitMs
      ? fault(phase, `a place in the batch within ${limitMs} ms`)
      : null;
  }
  if (firstTokenAtMs === null || lastTokenAtMs === null) {
    const limitMs = TIMES.firstTokenBaseMs + TIMES.firstTokenPerPromptTokenMs * task.prompt.length;
    return nowMs - admittedAtMs > limitMs ? fault(phase, `a first token within ${limitMs} ms`) : null;
  }
  const limitMs = TIMES.betweenTokensMs;
  return nowMs - lastTokenAtMs > limitMs ? fault(phase, `the next token within ${limitMs} ms`) : null;
}

function fault(phase: string, missed: string): Fault {
  return new ShoalError('deadline_exceeded', `The runner could not give ${missed}.`, {
    details: { phase },
  }).toFault();
}
