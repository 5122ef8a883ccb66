/** An event of `/events` as the event that the node's own reducer takes: `viewEvent` the other way round. */
import type { ControlEvent } from '../../src/control/events.js';
import { fromWire, readTime, readTimeOrNull } from './camelCase.js';
import {
  type Json,
  readFailure,
  readInstance,
  readNode,
  readProblem,
  readRunner,
  readTask,
  readWish,
  UNTOLD_SHAPE,
} from './readRecords.js';
import { isComplete, type WireEvent } from './wire.js';

/** @returns null when the page does not know it, or it lacks what the page looks into */
export function readEvent(event: WireEvent): ControlEvent | null {
  return isComplete(event) ? (translate(event) as unknown as ControlEvent) : null;
}

function translate(event: WireEvent): Json {
  const plain = fromWire(event) as Json;
  switch (event.kind) {
    case 'NodeJoined':
      return { ...plain, node: readNode(event.node as Json) };
    case 'NodeStatusChanged':
      return { ...plain, at: readTime(event.at) };
    case 'InstanceCreated':
      return { ...plain, instance: readInstance(event.instance as Json) };
    case 'InstanceFailed':
      return {
        ...plain,
        failure: readFailure(event.failure),
        nextAttemptAt: readTimeOrNull(event.next_attempt_at),
      };
    case 'MetaInstanceCreated':
      return {
        ...plain,
        metaInstance: readWish(event.meta_instance as Json),
        shape: UNTOLD_SHAPE,
        createdAt: readTime(event.created_at),
      };
    case 'PlacementRefused':
      return {
        ...plain,
        problem: readProblem(event.placement_error as Json),
        nextAttemptAt: readTime(event.next_attempt_at),
      };
    case 'MetaInstanceServed':
    case 'MetaInstanceSurplus':
      return { ...plain, since: readTimeOrNull(event.since) };
    case 'RunnerStatusChanged':
      return { ...plain, runner: readRunner(event.runner as Json) };
    case 'TaskAssigned':
      return { ...plain, task: readTask(event.task as Json) };
    default:
      return plain;
  }
}
