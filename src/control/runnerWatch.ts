/**
 * Is a runner alive, or does it only exist? A pure judge, fed with what the runner sends and with ticks of the node's
 * clock. It trusts counters, not clocks: time passes only in ticks, and a tick counts for little more than its
 * interval, so that a node that was itself paused (a closed laptop) accuses nobody.
 *
 * Four signs are watched, each with the limit of its phase:
 * - *silence*: the main thread of the runner, which never computes, reports twice a second. When nothing comes, the
 *   process is stopped, or its main thread hangs.
 * - *standstill*: the compute thread counts up between its steps and while it idles. A native call may take long, and
 *   is allowed to: a multiple of what its rows took at the slowest so far. Time in which its threads wait for a core
 *   that others have hardly counts: threads that compute together wait for each other at every operation, and on a
 *   machine with too much to do a step of milliseconds takes seconds.
 * - *deafness*: with each heartbeat the runner says how many messages it has taken. When it takes none although some
 *   wait, it will never answer them.
 * - *no progress*: while it starts, its status, the share loaded, or its resident memory must advance.
 */
import { TIMES } from '../shared/limits.js';
import type { RunnerStatus } from './runnerLife.js';

/** What the compute thread last said about its work. */
export interface RunnerPulse {
  /** Counts up between steps and while idle. */
  readonly counter: number;
  /** Rows of the step in progress; 0 between steps. */
  readonly stepRows: number;
  /** The most that one row of a step has taken so far, in milliseconds; 0 before the first step. */
  readonly slowestRowMs: number;
  /** What its threads have waited for a core so far, in milliseconds, summed over them. */
  readonly starvedMs: number;
  readonly residentBytes: number;
  /** Messages to the runner that it has taken, and that were sent when it said so. */
  readonly received: number;
  readonly sent: number;
}

export interface RunnerWatch {
  readonly status: RunnerStatus;
  readonly pulse: RunnerPulse | null;
  /** Milliseconds of ticks since the last pulse. */
  readonly silentMs: number;
  /** Since the counter last moved, less the time in which the runner got no core. */
  readonly standstillMs: number;
  /** Since status, progress or memory last advanced. */
  readonly noProgressMs: number;
  /** Since the runner last took a message, while there are some for it to take. */
  readonly deafMs: number;
}

export const WATCH_LIMITS = {
  /** How often the node looks. */
  tickMs: 250,
  silenceMs: 2_500,
  deafMs: 4_000,
  /** What was said longer ago than this is no longer news. */
  newsMs: 1_000,
  /** A step may take this many times what its rows took at the slowest. */
  standstillFactor: 10,
  standstillLeastMs: 2_500,
  standstillMostMs: 600_000,
  /** Waiting for a core excuses at most this share of the time: a runner that hangs is found on a full machine too. */
  starvedShare: 0.9,
  /** The first step of all, about which nothing is known. */
  standstillFirstMs: 120_000,
  /** Growth of the resident memory that counts as progress: pages of the model come in. */
  progressBytes: 1024 * 1024,
} as const;

/** How long a starting runner may go without progress, in milliseconds. */
const START_LIMITS_MS: Partial<Record<RunnerStatus, number>> = {
  spawned: 20_000,
  // The ranks of a model wait for each other: that has bounds of its own.
  connecting: 20_000 + TIMES.sideChannelRoundMs + TIMES.collectiveConnectMs,
  loading: 120_000,
  warming_up: 120_000,
};

export type WatchInput =
  | { readonly kind: 'status'; readonly status: RunnerStatus }
  /** A further share of the model is loaded. */
  | { readonly kind: 'progress' }
  | { readonly kind: 'pulse'; readonly pulse: RunnerPulse }
  | { readonly kind: 'tick'; readonly elapsedMs: number };

const NOTHING_YET = { silentMs: 0, standstillMs: 0, noProgressMs: 0, deafMs: 0 };

export const NEW_WATCH: RunnerWatch = { status: 'spawned', pulse: null, ...NOTHING_YET };

/** Statuses in which the runner may not send heartbeats yet. */
const BEFORE_HEARTBEATS: ReadonlySet<RunnerStatus> = new Set(['spawned', 'connecting']);

export function watch(state: RunnerWatch, input: WatchInput): RunnerWatch {
  switch (input.kind) {
    case 'status': {
      const { status } = input;
      // Only the runner moves through its start; whether it is busy the node says, and that is no sign of life.
      const isSignOfLife = state.status in START_LIMITS_MS;
      return isSignOfLife ? { ...state, ...NOTHING_YET, status } : { ...state, status };
    }
    case 'progress':
      return { ...state, noProgressMs: 0 };
    case 'pulse':
      return pulsed(state, input.pulse);
    case 'tick': {
      const ms = Math.min(Math.max(0, input.elapsedMs), 2 * WATCH_LIMITS.tickMs);
      return {
        ...state,
        silentMs: state.silentMs + ms,
        standstillMs: state.standstillMs + ms,
        noProgressMs: state.noProgressMs + ms,
        deafMs: state.deafMs + ms,
      };
    }
  }
}

function pulsed(state: RunnerWatch, pulse: RunnerPulse): RunnerWatch {
  const hasMoved = pulse.counter !== state.pulse?.counter;
  const hasTaken = pulse.received >= pulse.sent || pulse.received !== state.pulse?.received;
  const starvedMs = Math.max(0, pulse.starvedMs - (state.pulse?.starvedMs ?? pulse.starvedMs));
  const excusedMs = Math.min(starvedMs, WATCH_LIMITS.starvedShare * state.silentMs);
  const hasGrown = pulse.residentBytes >= (state.pulse?.residentBytes ?? 0) + WATCH_LIMITS.progressBytes;
  return {
    ...state,
    // Small growth adds up: the memory compared with stays until the growth counts.
    pulse: hasGrown ? pulse : { ...pulse, residentBytes: state.pulse?.residentBytes ?? pulse.residentBytes },
    silentMs: 0,
    standstillMs: hasMoved ? 0 : Math.max(0, state.standstillMs - excusedMs),
    noProgressMs: hasGrown ? 0 : state.noProgressMs,
    deafMs: hasTaken ? 0 : state.deafMs,
  };
}

/** Why the runner must be taken for dead, or null while it may live. A stop has its own bounds. */
export function judge(state: RunnerWatch): string | null {
  const startLimitMs = startLimit(state);
  const isWatched = startLimitMs !== undefined || state.status === 'ready' || state.status === 'running';
  if (!isWatched) return null;
  const hasHeartbeats = state.pulse !== null || !BEFORE_HEARTBEATS.has(state.status);
  if (hasHeartbeats && state.silentMs > WATCH_LIMITS.silenceMs) {
    return `it has sent no heartbeat for ${Math.round(state.silentMs)} ms: the process is stopped or hangs`;
  }
  if (state.deafMs > WATCH_LIMITS.deafMs && state.silentMs <= WATCH_LIMITS.newsMs) {
    return `it has taken no message for ${Math.round(state.deafMs)} ms, although some wait for it`;
  }
  if (startLimitMs !== undefined) {
    if (state.noProgressMs <= startLimitMs) return null;
    return `it has made no progress for ${Math.round(state.noProgressMs)} ms`;
  }
  // Without news nobody knows whether the counter moves: that is silence, which has its own limit.
  const limitMs = standstillLimitMs(state.pulse);
  if (state.standstillMs <= limitMs || state.silentMs > WATCH_LIMITS.newsMs) return null;
  return `its compute thread has stood still for ${Math.round(state.standstillMs)} ms, and ${Math.round(limitMs)} are allowed`;
}

/** A runner that has been told what to load says so at once: one that does not is no different from one not yet there. */
function startLimit({ status, pulse }: RunnerWatch): number | undefined {
  return START_LIMITS_MS[status === 'connecting' && pulse === null ? 'spawned' : status];
}

/** How long the counter may stand still, given what is being computed. */
function standstillLimitMs(pulse: RunnerPulse | null): number {
  const { standstillFactor, standstillLeastMs, standstillMostMs, standstillFirstMs } = WATCH_LIMITS;
  if (pulse === null || pulse.stepRows === 0) return standstillLeastMs;
  if (pulse.slowestRowMs === 0) return standstillFirstMs;
  const allowedMs = standstillFactor * pulse.stepRows * pulse.slowestRowMs;
  return Math.min(standstillMostMs, Math.max(standstillLeastMs, allowedMs));
}
