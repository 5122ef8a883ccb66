/** The life of a runner as a table. A failure may come at any time before the end; everything else is listed. */
export const RUNNER_MOVES = {
  spawned: ['connecting', 'stopping', 'failed'],
  connecting: ['loading', 'stopping', 'failed'],
  loading: ['warming_up', 'stopping', 'failed'],
  warming_up: ['ready', 'stopping', 'failed'],
  ready: ['running', 'stopping', 'failed'],
  running: ['ready', 'stopping', 'failed'],
  stopping: ['stopped', 'failed'],
  stopped: ['spawned'],
  failed: ['spawned'],
} as const;

export type RunnerStatus = keyof typeof RUNNER_MOVES;

/** May a runner go from one status to the other? Staying is always legal. */
export function isLegalMove(from: RunnerStatus, to: RunnerStatus): boolean {
  const moves: readonly RunnerStatus[] = RUNNER_MOVES[from];
  return from === to || moves.includes(to);
}

/** Can the runner take a request at once? */
export function isServing(status: RunnerStatus): boolean {
  return status === 'ready' || status === 'running';
}

/** Has the runner ended, one way or the other? */
export function isTerminal(status: RunnerStatus): boolean {
  return status === 'stopped' || status === 'failed';
}
