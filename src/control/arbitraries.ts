/** Arbitrary histories for the laws of this room: few nodes, instances and tasks, so that events meet each other. */
import fc from 'fast-check';
import type { InstanceId, MetaInstanceId, NodeId, TaskId } from '../shared/ids.js';
import { runnerIdOf } from './applyInstance.js';
import type { ControlEvent } from './events.js';
import type { RunnerStatus } from './runnerLife.js';
import type { InstanceRecord, PlacementProblem } from './state.js';
import {
  instanceDeleted,
  instanceRecord,
  metaInstanceCreated,
  metaInstanceDeleted,
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
  ['d', [NODE]],
  ['e', [OTHER_NODE, NODE]],
]);
/** Whose they are: the others were made by hand. */
const OWNERS: ReadonlyMap<string, MetaInstanceId> = new Map([
  ['d', 'm' as MetaInstanceId],
  ['e', 'w' as MetaInstanceId],
]);

export const anyNodeId = fc.constantFrom(NODE, OTHER_NODE, 'node-c' as NodeId);
const anyInstance = fc.constantFrom(...PLACES.keys());
const anyTask = fc.constantFrom('t1', 't2', 't3', 't4');
const anyIncarnation = fc.integer({ min: 1, max: 3 });

const anyMetaInstance = fc.constantFrom('m', 'w').map((id) => id as MetaInstanceId);
const anyOwned = fc.constantFrom('d', 'e').map((id) => id as InstanceId);
const anyAttempt = fc.integer({ min: 1, max: 5 });
const anyTime = fc.nat(100);

function recordOf(id: string): InstanceRecord {
  return { ...instanceRecord(id, PLACES.get(id)), metaInstanceId: OWNERS.get(id) ?? null };
}

const anyRunner = fc
  .record({
    instance: anyInstance,
    attempt: fc.constantFrom(1, 1, 2),
    status: fc.constantFrom<RunnerStatus>('loading', 'ready', 'failed', 'stopped'),
    incarnation: anyIncarnation,
    sequence: fc.integer({ min: 1, max: 4 }),
  })
  .map(({ instance, attempt, status, incarnation, sequence }) => ({
    ...runnerFact(instance, status, sequence),
    ...(attempt === 1 ? {} : { runnerId: runnerIdOf(instance as InstanceId, attempt, 0) }),
    incarnation,
  }));

const PLAIN = { noNullPrototype: true } as const;
const anyProblem: fc.Arbitrary<PlacementProblem> = fc.record(
  {
    at: anyTime,
    message: fc.constant('It does not fit.'),
    count: anyAttempt,
    nodes: fc.constant([]),
    circumstances: fc.constantFrom('x', 'y'),
  },
  PLAIN,
);

/** What becomes of what users want to run, as the master may say it, in any order. */
const anyMetaInstanceEvent: fc.Arbitrary<ControlEvent> = fc.oneof(
  anyMetaInstance.map((id) => metaInstanceCreated(id)),
  anyMetaInstance.map(metaInstanceDeleted),
  fc.record({ kind: fc.constant('MetaInstanceRetried' as const), metaInstanceId: anyMetaInstance }),
  fc.record({ kind: fc.constant('MetaInstanceFailed' as const), metaInstanceId: anyMetaInstance }),
  fc.record({ kind: fc.constant('MetaInstanceRecovered' as const), metaInstanceId: anyMetaInstance }),
  fc.record({
    kind: fc.constant('MetaInstanceServed' as const),
    metaInstanceId: anyMetaInstance,
    since: fc.option(anyTime),
  }),
  fc.record({
    kind: fc.constant('MetaInstanceSurplus' as const),
    metaInstanceId: anyMetaInstance,
    since: fc.option(anyTime),
  }),
  fc.record({
    kind: fc.constant('PlacementRefused' as const),
    metaInstanceId: anyMetaInstance,
    problem: anyProblem,
    nextAttemptAt: anyTime,
  }),
  fc.record({
    kind: fc.constant('InstanceFailed' as const),
    instanceId: anyOwned,
    attempt: anyAttempt,
    failure: fc.record(
      {
        at: anyTime,
        nodeId: fc.option(anyNodeId),
        message: fc.constant('It died.'),
        isExcused: fc.constant(true),
      },
      { ...PLAIN, requiredKeys: ['at', 'nodeId', 'message'] },
    ),
    nextAttemptAt: fc.option(anyTime),
  }),
  fc.record({
    kind: fc.constant('InstanceRetrying' as const),
    instanceId: anyOwned,
    attempt: anyAttempt,
  }),
  fc.tuple(anyOwned, anyNodeId).map(([instanceId, avoid]) => ({
    kind: 'InstanceDeleted' as const,
    instanceId,
    avoid,
  })),
);

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
  anyInstance.map((id) => ({ kind: 'InstanceCreated' as const, instance: recordOf(id) })),
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
  { arbitrary: anyMetaInstanceEvent, weight: 4 },
);

export const anyHistory = fc.array(anyEvent, { maxLength: 60 });
