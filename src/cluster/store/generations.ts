/**
 * The files of a store. Generation N is `N.snapshot`, the state at some index, and `N.log`, the records after it; the
 * first generation has no snapshot. A generation exists from the moment its snapshot gets its name: a log without one is
 * what a crash left of an attempt. The generation before the newest is kept: should the newest snapshot be damaged, it
 * and the two logs still hold everything.
 */
const FIRST_GENERATION = 1;
const SNAPSHOT = '.snapshot';
const LOG = '.log';
const DRAFT = '.draft';
const DIGITS = 10;

/** What could not be read of a log is kept here until the next time. */
export const DROPPED_FILE = 'dropped.bytes';

export const snapshotName = (generation: number): string => padded(generation) + SNAPSHOT;
export const logName = (generation: number): string => padded(generation) + LOG;
export const draftName = (generation: number): string => padded(generation) + SNAPSHOT + DRAFT;

const padded = (generation: number): string => String(generation).padStart(DIGITS, '0');

/** First frame of both files of a generation. */
export interface GenerationHeader {
  /** Index up to which the snapshot of this generation holds everything; 0 without a snapshot. */
  readonly position: number;
  /** Does this history go on from the generation before, or does it take its place? */
  readonly goesOn: boolean;
  /** The facts beside the log when the generation began. */
  readonly meta: unknown;
}

export function isHeader(value: unknown): value is GenerationHeader {
  const header = value as Partial<GenerationHeader> | null;
  return (
    typeof header === 'object' &&
    header !== null &&
    Number.isSafeInteger(header.position) &&
    typeof header.goesOn === 'boolean'
  );
}

/** A frame of a log behind its header. */
export type LogEntry = readonly ['record', unknown] | readonly ['meta', unknown];

export interface FoundGenerations {
  /** Numbers of those with a snapshot, and the first, newest first. */
  readonly whole: readonly number[];
  /** The highest number in use by anything. */
  readonly newest: number;
  /** Files that a crash left behind and that hold nothing needed. */
  readonly leftovers: readonly string[];
}

export function findGenerations(names: readonly string[]): FoundGenerations {
  const snapshots = numbersOf(names, SNAPSHOT);
  const logs = numbersOf(names, LOG);
  const first = logs.includes(FIRST_GENERATION) ? [FIRST_GENERATION] : [];
  const whole = [...new Set([...snapshots, ...first])].sort((a, b) => b - a);
  const leftovers = [
    ...names.filter((name) => name.endsWith(DRAFT)),
    ...logs.filter((number) => !whole.includes(number)).map(logName),
  ];
  const numbers = [...whole, ...logs, ...numbersOf(names, SNAPSHOT + DRAFT)];
  return { whole, newest: Math.max(FIRST_GENERATION, ...numbers), leftovers };
}

function numbersOf(names: readonly string[], ending: string): number[] {
  return names
    .filter((name) => name.endsWith(ending) && /^\d{10}$/.test(name.slice(0, -ending.length)))
    .map((name) => Number(name.slice(0, DIGITS)));
}
