/**
 * When a request goes on somewhere else. Its stream may break because the runner or the node died, or was stopped; the
 * request then asks for another place with what its client has, as often as is bounded here. What is wrong with the
 * request itself is wrong everywhere, and ends it.
 */
import type { ErrorCode, Fault } from '../../shared/errors.js';
import type { InstanceId, TaskId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';

/** What a request has been through. Times are on the node's monotonic clock. */
export interface Moves {
  readonly count: number;
  /** Places that were lost after something was computed there. */
  readonly losses: number;
  /** Runners that died while they computed it. */
  readonly crashes: number;
  /** Places in a row that were lost before anything was computed there: the state may be behind what happens. */
  readonly fruitless: number;
  /** Context that a place must have: it did not fit into one with less. */
  readonly leastContext: number;
  /** Why it moved last. */
  readonly fault: Fault | null;
  /** Where it ran last, and until when it is better not to go there: the state may not show yet what happened. */
  readonly avoid: InstanceId | null;
  readonly avoidUntil: number;
  /** When the master is asked next; null while it is being asked, or the request has its place. */
  readonly askAt: number | null;
  /** Askings since it lost its place. */
  readonly askings: number;
}

export const UNMOVED: Moves = {
  count: 0,
  losses: 0,
  crashes: 0,
  fruitless: 0,
  leastContext: 0,
  fault: null,
  avoid: null,
  avoidUntil: Number.NEGATIVE_INFINITY,
  askAt: null,
  askings: 0,
};

/**
 * Faults of the place and not of the request. A sequence that the engine cannot compute (`engine_error`) is the
 * request's own, and a deadline is the same everywhere.
 */
const OF_THE_PLACE: ReadonlySet<ErrorCode> = new Set([
  'runner_failed',
  'node_lost',
  'not_ready',
  'peer_protocol_error',
  'queue_full',
  'all_instances_failed',
  'no_instance',
]);

/** Instances of one model need not have the same context: what does not fit into one may fit into another. */
export const TOO_SMALL: ErrorCode = 'context_length_exceeded';

export interface Break {
  readonly fault: Fault;
  /** Had the runner begun to compute it? */
  readonly isBegun: boolean;
  /** Where it ran. */
  readonly instanceId: InstanceId;
  /** The context of that place, where one with more may be had; else null. @default null */
  readonly smallContext?: number | null;
}

/** What becomes of a request whose stream broke: its next moves, or the fault that it ends with. */
export function moved(
  before: Moves,
  { fault, isBegun, instanceId, smallContext = null }: Break,
  now: number,
): Moves | Fault {
  const isTooSmall = fault.code === TOO_SMALL && smallContext !== null;
  if (!isTooSmall && !OF_THE_PLACE.has(fault.code)) return fault;
  const crashes = before.crashes + (fault.code === 'runner_failed' && isBegun ? 1 : 0);
  if (crashes >= LIMITS.requestCrashes) {
    // It may be the cause itself: it must not take down one runner after the other.
    const message = `${fault.message}; it is runner number ${crashes} that died with this request, which is not moved again`;
    return { ...fault, message };
  }
  const losses = before.losses + (isBegun ? 1 : 0);
  const fruitless = isBegun ? 0 : before.fruitless + 1;
  // A place that never began is a mistake of the asking: it uses up nothing, unless one follows the other.
  if (Math.max(losses, fruitless) > LIMITS.requestMoves) {
    return { ...fault, message: `${fault.message}; the request was moved ${before.count} times already` };
  }
  return {
    count: before.count + 1,
    losses,
    crashes,
    fruitless,
    leastContext: isTooSmall ? smallContext + 1 : before.leastContext,
    fault,
    avoid: instanceId,
    avoidUntil: now + TIMES.avoidMs,
    // Between two places that are both gone, and not known to be, all moves would be used up in no time.
    askAt: fruitless <= 1 ? now : now + pauseMs(fruitless - 2),
    askings: 0,
  };
}

function pauseMs(times: number): number {
  return Math.min(TIMES.moveRetryMs * 2 ** times, TIMES.moveLongestRetryMs);
}

/** No place was found: it asks again after a pause that grows. */
export function refused(moves: Moves, now: number): Moves {
  return { ...moves, askAt: now + pauseMs(moves.askings), askings: moves.askings + 1 };
}

/** The task that the state has for a place of a request: one that ended there does not run again. */
export function attemptId(taskId: TaskId, moves: Moves): TaskId {
  return moves.count === 0 ? taskId : (`${taskId}.${moves.count}` as TaskId);
}

/**
 * May a place be found for a request that has not begun if it waits? One that finds every queue full is told so: it
 * would make the queue longer.
 */
export function canEndByWaiting({ code }: Fault): boolean {
  return BEFORE_IT_IS_SERVED.has(code);
}

const BEFORE_IT_IS_SERVED: ReadonlySet<ErrorCode> = new Set([
  'not_ready',
  'node_lost',
  'all_instances_failed',
]);
