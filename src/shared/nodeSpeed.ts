/** How fast a machine computes models, as it measured itself. */
export interface NodeSpeed {
  /** Bytes of weights that decoding reads in a second. */
  readonly memoryBytesPerSecond: number;
  /** Multiplications and additions of matrix products in a second, many rows at once. */
  readonly operationsPerSecond: number;
}

export interface MeasuredSpeed extends NodeSpeed {
  /** What of its cores the measurement had, 0 to 1: the rest was taken by others, and the speed is too low by it. */
  readonly processorShare: number;
}

/** What no machine of these years is slower or faster than: a number outside is a mistake, or a lie. */
export const PLAUSIBLE_SPEEDS = {
  memoryBytesPerSecond: { least: 1e7, most: 1e14 },
  operationsPerSecond: { least: 1e7, most: 1e17 },
} as const satisfies Record<keyof NodeSpeed, { readonly least: number; readonly most: number }>;

/** What was measured, or said by another process; null when it makes no sense. */
export function readNodeSpeed(value: unknown): NodeSpeed | null {
  const { memoryBytesPerSecond, operationsPerSecond } = (value ?? {}) as Record<string, unknown>;
  if (!isPlausible('memoryBytesPerSecond', memoryBytesPerSecond)) return null;
  if (!isPlausible('operationsPerSecond', operationsPerSecond)) return null;
  return { memoryBytesPerSecond, operationsPerSecond };
}

export function readMeasuredSpeed(value: unknown): MeasuredSpeed | null {
  const speed = readNodeSpeed(value);
  const { processorShare } = (value ?? {}) as Record<string, unknown>;
  if (speed === null || typeof processorShare !== 'number') return null;
  return processorShare >= 0 && processorShare <= 1 ? { ...speed, processorShare } : null;
}

/** The larger of each. */
export function fasterOf(left: NodeSpeed, right: NodeSpeed): NodeSpeed {
  return {
    memoryBytesPerSecond: Math.max(left.memoryBytesPerSecond, right.memoryBytesPerSecond),
    operationsPerSecond: Math.max(left.operationsPerSecond, right.operationsPerSecond),
  };
}

function isPlausible(name: keyof NodeSpeed, value: unknown): value is number {
  return (
    typeof value === 'number' && value >= PLAUSIBLE_SPEEDS[name].least && value <= PLAUSIBLE_SPEEDS[name].most
  );
}
