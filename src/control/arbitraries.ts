/** Arbitrary histories for the laws of this room: few nodes, instances and tasks, so that events meet each other. */
import fc from 'fast-check';
import type { InstanceId, NodeId, TaskId } from '../shared/ids.js';
import type { ControlEvent } from './events.js';
import type { RunnerStatus } from './runnerLife.js';
import {
  instanceCreated,
  instanceDeleted,
  NODE,
  nodeJoined,
  OTHER_NODE,
  runnerFact,
  taskRecord,
} from './testing.js';

/** Where each instance is, in all histories: an id means the same instance everywhere. */
const PLACES: ReadonlyMap<string, readonly NodeId[]> = new Map([
  ['a', [NODE]],
  ['b', [OTHER_NODE]],
  ['c', [OTHER_NODE, NODE]],
]);

export const anyNodeId = fc.constantFrom(NODE, OTHER_NODE, 'node-c' as NodeId);
const anyInstance = fc.constantFrom(...PLACES.keys());
const anyTask = fc.constantFrom('t1', 't2', 't3', 't4');
const anyIncarnation = fc.integer({ min: 1, max: 3 });

const anyRunner = fc
  .record({
    instance: anyInstance,
    status: fc.constantFrom<RunnerStatus>('loading', 'ready', 'failed', 'stopped'),
    incarnation: anyIncarnation,
    sequence: fc.integer({ min: 1, max: 4 }),
  })
  .map(({ instance, status, incarnation, sequence }) => ({
    ...runnerFact(instance, status, sequence),
    incarnation,
  }));

export const anyEvent: fc.Arbitrary<ControlEvent> = fc.oneof(
  fc.record({ kind: fc.constant('MasterElected' as const), nodeId: anyNodeId, term: fc.nat(5) }),
  fc.tuple(anyNodeId, anyIncarnation).map(([nodeId, incarnation]) => nodeJoined(nodeId, incarnation)),
  fc.record({
    kind: fc.constant('NodeStatusChanged' as const),
    nodeId: anyNodeId,
    status: fc.constantFrom('alive', 'suspect', 'dead'),
    at: fc.nat(100),
  }),
  fc.record({ kind: fc.constant('NodeForgotten' as const), nodeId: anyNodeId }),
  anyInstance.map((id) => instanceCreated(id, PLACES.get(id))),
  anyInstance.map(instanceDeleted),
  anyRunner.map((runner) => ({ kind: 'RunnerStatusChanged', runner }) as const),
  fc.tuple(anyTask, anyInstance, anyNodeId, anyIncarnation).map(([id, instance, nodeId, apiIncarnation]) => ({
    kind: 'TaskAssigned' as const,
    task: { ...taskRecord(id, instance, nodeId), apiIncarnation },
  })),
  fc.record({
    kind: fc.constant('TaskFinished' as const),
    taskId: anyTask.map((id) => id as TaskId),
    instanceId: anyInstance.map((id) => id as InstanceId),
    status: fc.constantFrom('complete', 'failed', 'cancelled'),
  }),
);

export const anyHistory = fc.array(anyEvent, { maxLength: 60 });
