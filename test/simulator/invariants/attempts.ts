/** What a master makes of failures: within one reign it has one history, so that it can be held against itself. */
import type { ControlEvent } from '../../../src/control/events.js';
import { LIMITS, TIMES } from '../../../src/shared/limits.js';
import type { Process } from '../machine.js';
import { type Invariant, Violation } from './contract.js';

const ONCE = 'failure-counted-once';
const BACKS_OFF = 'attempts-back-off';
/** The jitter takes a quarter off at most; a clock may run a little fast. */
const LEAST_PAUSE_MS = 0.7 * TIMES.attemptBaseMs;

/** Calls back with each event that a master appends, with a name of its reign. */
function appended(
  check: () => (event: ControlEvent, reign: string, process: Process) => void,
): Invariant['watch'] {
  return () => {
    const checkOne = check();
    return {
      handled(process, _input, outputs) {
        if (process.core.role !== 'master') return;
        for (const output of outputs) {
          if (output.kind !== 'StoreEntry') continue;
          const { entry } = output;
          if (entry.epoch.nodeId !== process.machine.id) continue;
          checkOne(entry.event, `${entry.epoch.term}/${entry.epoch.nodeId}`, process);
        }
      },
    };
  };
}

export const failureCountedOnce: Invariant = {
  name: ONCE,
  meaning: `One attempt fails once, is followed by one other or by the end of the instance and not by both, and without a user's word at most ${LIMITS.instanceRetries} follow each other.`,
  kind: 'safety',
  watch: appended(() => {
    const told = new Set<string>();
    const ended = new Set<string>();
    /** Attempts that a machine or a cable ended. */
    const excused = new Set<string>();
    const inARow = new Map<string, number>();
    const once = (what: string, { name }: Process) => {
      if (told.has(what)) throw new Violation(ONCE, `${name} says a second time: ${what}`);
      told.add(what);
    };
    return (event, reign, process) => {
      switch (event.kind) {
        case 'InstanceDeleted':
          ended.add(`${reign} ${event.instanceId}`);
          return;
        case 'InstanceFailed':
          once(`${reign}: ${event.instanceId} attempt ${event.attempt} failed`, process);
          if (event.failure.isExcused === true) excused.add(`${reign} ${event.instanceId} ${event.attempt}`);
          return;
        case 'InstanceRetrying': {
          const { instanceId, attempt } = event;
          const key = `${reign} ${instanceId}`;
          if (ended.has(key))
            throw new Violation(ONCE, `${process.name} retries ${instanceId}, which it has deleted`);
          once(`${reign}: ${instanceId} attempt ${attempt} begins`, process);
          // What nobody declared has the policy of a single runner, which is held to its pauses.
          if (process.core.state.instances.get(instanceId)?.metaInstanceId === null) return;
          // Of a failure from before this reign nobody here knows whether a user has spoken since: the first may follow one.
          const isOwn = inARow.has(key) || told.has(`${reign}: ${instanceId} attempt ${attempt - 1} failed`);
          const isCounted = isOwn && !excused.has(`${key} ${attempt - 1}`);
          const count = (inARow.get(key) ?? 0) + (isCounted ? 1 : 0);
          inARow.set(key, count);
          if (count > LIMITS.instanceRetries)
            throw new Violation(ONCE, `${process.name} retries ${instanceId} ${count} times in a row`);
          return;
        }
        case 'MetaInstanceRetried':
        case 'MetaInstanceRecovered':
          for (const { instanceId, metaInstanceId } of process.core.state.instances.values()) {
            // The one that a user asks for comes before those that follow it by themselves.
            const before = event.kind === 'MetaInstanceRetried' ? -1 : 0;
            if (metaInstanceId === event.metaInstanceId) inARow.set(`${reign} ${instanceId}`, before);
          }
          return;
      }
    };
  }),
};

export const attemptsBackOff: Invariant = {
  name: BACKS_OFF,
  meaning:
    'Between a failure and the next attempt, and between two refusals for the same reasons, there is a pause, unless a user or a wall clock that was set forward ends it.',
  kind: 'safety',
  watch: appended(() => {
    /** When, by the wall clock of the machine, and by the time. */
    const moments = new Map<string, { readonly at: number; readonly wallMs: number }>();
    const circumstances = new Map<string, string>();
    const note = (key: string, { machine }: Process) =>
      moments.set(key, { at: machine.world.time.now, wallMs: machine.clock.instant.wallMs });
    const check = (key: string, what: string, { machine, name }: Process) => {
      const moment = moments.get(key);
      if (moment === undefined) return;
      const pausedMs = machine.world.time.now - moment.at;
      const hasJumped = Math.abs(machine.clock.instant.wallMs - moment.wallMs - pausedMs) > 1;
      if (hasJumped || pausedMs >= LEAST_PAUSE_MS) return;
      throw new Violation(BACKS_OFF, `${name} ${what} after ${Math.round(pausedMs)} ms`);
    };
    return (event, reign, process) => {
      switch (event.kind) {
        case 'InstanceFailed':
          note(`${reign} ${event.instanceId}`, process);
          return;
        case 'InstanceRetrying':
          check(`${reign} ${event.instanceId}`, `tries ${event.instanceId} again`, process);
          return;
        case 'PlacementRefused': {
          const key = `${reign} ${event.metaInstanceId}`;
          if (circumstances.get(key) === event.problem.circumstances)
            check(key, `refuses ${event.metaInstanceId} again`, process);
          circumstances.set(key, event.problem.circumstances);
          note(key, process);
          return;
        }
        // A user who deletes what a wish has wants another one now.
        case 'InstanceDeleted':
        case 'InstanceCreated':
        case 'MetaInstanceRetried':
          moments.clear();
          return;
      }
    };
  }),
};
