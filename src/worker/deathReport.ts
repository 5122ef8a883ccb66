/** Words for the end of a process. */
import { constants } from 'node:os';

export interface ProcessEnd {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** For people: `Terminated (signal=6 SIGABRT)` or `Exited (code=1)`. */
export function describeEnd(end: ProcessEnd): string {
  if (end.signal !== null) return `Terminated (signal=${constants.signals[end.signal] ?? '?'} ${end.signal})`;
  return `Exited (code=${end.exitCode ?? '?'})`;
}
