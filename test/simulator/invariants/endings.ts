import type { TaskId } from '../../../src/shared/ids.js';
import { TIMES } from '../../../src/shared/limits.js';
import type { Process } from '../machine.js';
import { type Invariant, Violation } from './contract.js';

const REQUESTS = 'one-end-a-request';
const IN_TIME = 'ends-in-time';

/** A tick finds out, and the look comes some time after the tick. */
const ALLOWED_MS = 4 * TIMES.tickMs;

interface Awaited {
  readonly what: string;
  readonly process: Process;
  /** On the clock of its machine. */
  readonly dueAt: number;
}

export const oneEndARequest: Invariant = {
  name: REQUESTS,
  meaning:
    'A request has one place at a time, ends once, and nothing is heard of it after its end; a command too.',
  kind: 'safety',
  watch() {
    const ended = new Set<TaskId>();
    const placed = new Set<TaskId>();
    const answered = new Set<string>();
    const end = (taskId: TaskId, name: string) => {
      if (ended.has(taskId)) throw new Violation(REQUESTS, `request ${taskId} ends twice on ${name}`);
      ended.add(taskId);
    };
    return {
      handled({ name }, input, outputs) {
        if (input.kind === 'TaskStreamEnded') end(input.taskId, name);
        for (const output of outputs) {
          if (output.kind === 'TaskEnded') end(output.taskId, name);
          if (output.kind === 'TaskMoving') placed.delete(output.taskId);
          if (output.kind !== 'TaskPlaced') continue;
          const { taskId } = output;
          if (placed.has(taskId))
            throw new Violation(REQUESTS, `request ${taskId} is placed twice on ${name}`);
          if (ended.has(taskId))
            throw new Violation(REQUESTS, `request ${taskId} is placed on ${name} after its end`);
          placed.add(taskId);
        }
        if (input.kind === 'TaskCancelled' && !ended.has(input.taskId)) {
          throw new Violation(REQUESTS, `request ${input.taskId} goes on after its cancel on ${name}`);
        }
      },
      commandEnded({ name }, key) {
        if (answered.has(key)) throw new Violation(REQUESTS, `command ${key} is answered twice on ${name}`);
        answered.add(key);
      },
    };
  },
};

export const endsInTime: Invariant = {
  name: IN_TIME,
  meaning:
    'A request or command that a node took has ended when its time is over, unless the node itself ended.',
  kind: 'liveness',
  watch() {
    const awaited = new Map<string, Awaited>();
    return {
      handled(process, input, outputs) {
        const { monotonicMs } = process.machine.clock.instant;
        if (input.kind === 'TaskArrived') {
          const dueAt = monotonicMs + input.deadlineMs;
          awaited.set(input.taskId, { what: `request ${input.taskId}`, process, dueAt });
        } else if (input.kind === 'CommandIssued') {
          const dueAt = monotonicMs + input.timeoutMs;
          awaited.set(input.key, { what: `command ${input.key}`, process, dueAt });
        } else if (input.kind === 'TaskStreamEnded') awaited.delete(input.taskId);
        for (const output of outputs) {
          if (output.kind === 'TaskEnded') awaited.delete(output.taskId);
          if (output.kind === 'CommandEnded') awaited.delete(output.key);
        }
      },
      looked() {
        for (const [key, { what, process, dueAt }] of awaited) {
          if (!process.isAlive) awaited.delete(key);
          else if (!process.machine.isPaused && !process.machine.hasJustResumed) {
            const lateMs = process.machine.clock.instant.monotonicMs - dueAt;
            if (lateMs <= ALLOWED_MS) continue;
            throw new Violation(
              IN_TIME,
              `${what} on ${process.name} is ${Math.round(lateMs)} ms over its time`,
            );
          }
        }
      },
    };
  },
};
