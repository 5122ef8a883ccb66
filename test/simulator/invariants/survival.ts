/** R60: what clients see of an answer whose runner or node is lost. */
import { hasProspect, isExpected } from '../../../src/control/prospects.js';
import type { ErrorCode } from '../../../src/shared/errors.js';
import type { TaskId } from '../../../src/shared/ids.js';
import { LIMITS } from '../../../src/shared/limits.js';
import { ANSWER_TOKENS } from '../streams.js';
import { type Invariant, Violation } from './contract.js';
import { Turns } from './turns.js';

const WHOLE = 'whole-answers';
const SURVIVE = 'answers-survive';
const WAIT = 'requests-wait';
/** Clocks of machines may run a little fast. */
const SURE_SHARE = 0.9;

export const wholeAnswers: Invariant = {
  name: WHOLE,
  meaning: 'No token of an answer comes twice or is missing, wherever it was computed.',
  kind: 'safety',
  watch() {
    const known = new Map<TaskId, number>();
    return {
      tokensCame({ name }, taskId, from, count) {
        const next = known.get(taskId) ?? 0;
        if (from !== next) {
          throw new Violation(
            WHOLE,
            `the client of ${taskId} on ${name} has ${next} tokens and gets number ${from}`,
          );
        }
        known.set(taskId, next + count);
      },
      handled({ name }, input) {
        if (input.kind !== 'TaskStreamEnded' || input.status !== 'complete') return;
        const count = known.get(input.taskId) ?? 0;
        known.delete(input.taskId);
        if (count !== ANSWER_TOKENS) {
          throw new Violation(WHOLE, `the answer of ${input.taskId} on ${name} ends after ${count} tokens`);
        }
      },
    };
  },
};

/** A request that had a place ends by one of these only when nothing is left to try. */
const OF_THE_PLACE: ReadonlySet<ErrorCode> = new Set([
  'runner_failed',
  'node_lost',
  'not_ready',
  'all_instances_failed',
  'no_instance',
  'queue_full',
]);

interface Past {
  moves: number;
  crashes: number;
}

export const answersSurvive: Invariant = {
  name: SURVIVE,
  meaning:
    'An answer that has begun does not end by the loss of a runner or node while its model is served, or may be again.',
  kind: 'safety',
  watch() {
    const placed = new Map<TaskId, Past>();
    const turns = new Turns();
    return {
      handled({ name, api, core }, input, outputs) {
        const stateAt = turns.next(core, outputs);
        if (input.kind === 'TaskStreamBroken') {
          const past = placed.get(input.taskId);
          if (past !== undefined && input.isBegun && input.fault.code === 'runner_failed') past.crashes += 1;
        }
        for (const [at, output] of outputs.entries()) {
          if (output.kind === 'TaskPlaced' && !placed.has(output.taskId)) {
            placed.set(output.taskId, { moves: 0, crashes: 0 });
          }
          if (output.kind === 'TaskMoving') {
            const past = placed.get(output.taskId);
            if (past !== undefined) past.moves += 1;
          }
          if (output.kind !== 'TaskEnded') continue;
          const past = placed.get(output.taskId);
          placed.delete(output.taskId);
          const modelId = api.open.get(output.taskId)?.modelId;
          if (past === undefined || modelId === undefined || !OF_THE_PLACE.has(output.fault.code)) continue;
          const isUsedUp = past.moves >= LIMITS.requestMoves || past.crashes >= LIMITS.requestCrashes;
          if (isUsedUp || !hasProspect(stateAt(at), modelId)) continue;
          throw new Violation(
            SURVIVE,
            `${name} ends ${output.taskId} after ${past.moves} moves: ${output.fault.message}`,
          );
        }
      },
    };
  },
};

export const requestsWait: Invariant = {
  name: WAIT,
  meaning:
    'A request that has not begun is not refused within its wait while its model is being placed or started anew.',
  kind: 'safety',
  watch(world) {
    const begun = new Set<TaskId>();
    const turns = new Turns();
    return {
      handled({ name, api, core }, _input, outputs) {
        const stateAt = turns.next(core, outputs);
        for (const [at, output] of outputs.entries()) {
          if (output.kind === 'TaskPlaced') begun.add(output.taskId);
          if (output.kind !== 'TaskEnded') continue;
          const request = api.open.get(output.taskId);
          const isFirst = !begun.delete(output.taskId);
          if (!isFirst || request === undefined || output.fault.code !== 'all_instances_failed') continue;
          const waitedMs = world.time.now - request.arrivedAt;
          if (waitedMs >= SURE_SHARE * request.placeWaitMs || !isExpected(stateAt(at), request.modelId))
            continue;
          throw new Violation(
            WAIT,
            `${name} refuses ${output.taskId} after ${waitedMs} ms: ${output.fault.message}`,
          );
        }
      },
    };
  },
};
