/**
 * When a runner that died is started again: after 2, 4, 8 … seconds, at most 60, with jitter, at most 10 times in a
 * row. A runner that stayed up for the healthy period starts counting anew.
 */
import type { RunnerRecord } from './state.js';

export const RESTART_POLICY = {
  baseMs: 2_000,
  maxMs: 60_000,
  maxRestarts: 10,
  /** Share of the delay that the jitter may take off, so that runners that died together come back apart. */
  jitter: 0.25,
  healthyMs: 5 * 60_000,
} as const;

export interface RestartHistory {
  /** Restarts in a row, since the last healthy period. */
  readonly restarts: number;
}

/**
 * Of an instance whose ranks are started anew together. One that ran for a healthy period, or that ended without a fault
 * of its own, because a node or a link was lost, starts counting anew.
 */
export function restartsInARow(runners: readonly RunnerRecord[]): number {
  const failed = runners.filter(({ status }) => status === 'failed');
  const ranLong = failed.some(({ error }) => (error?.ranForMs ?? 0) >= RESTART_POLICY.healthyMs);
  return failed.length === 0 || ranLong ? 0 : Math.max(...runners.map(({ restarts }) => restarts));
}

export type RestartDecision =
  | { readonly kind: 'restart'; readonly delayMs: number; readonly history: RestartHistory }
  | { readonly kind: 'give_up'; readonly history: RestartHistory };

/**
 * @param ranReadyMs how long the runner had been ready when it died; 0 when it never was
 * @param random uniform in [0, 1), drawn by the caller
 */
export function decideRestart(history: RestartHistory, ranReadyMs: number, random: number): RestartDecision {
  const restarts = ranReadyMs >= RESTART_POLICY.healthyMs ? 0 : history.restarts;
  if (restarts >= RESTART_POLICY.maxRestarts) return { kind: 'give_up', history: { restarts } };
  const fullMs = Math.min(RESTART_POLICY.maxMs, RESTART_POLICY.baseMs * 2 ** restarts);
  const delayMs = Math.round(fullMs * (1 - RESTART_POLICY.jitter * random));
  return { kind: 'restart', delayMs, history: { restarts: restarts + 1 } };
}
