/** Small states for the tests of this room. */
import type { CommandId, InstanceId, NodeId, RunnerId, TaskId } from '../shared/ids.js';
import { TEST_MODEL } from '../shared/testing.js';
import { apply } from './apply.js';
import type { ControlEvent } from './events.js';
import type { RunnerStatus } from './runnerLife.js';
import {
  type ClusterState,
  EMPTY_STATE,
  type InstanceRecord,
  type NodeFact,
  type RunnerFact,
  type TaskRecord,
} from './state.js';

export const NODE = 'node-a' as NodeId;
export const OTHER_NODE = 'node-b' as NodeId;
export const MODEL = TEST_MODEL;

export function nodeFact(nodeId: NodeId = NODE, incarnation = 1): NodeFact {
  return {
    nodeId,
    name: nodeId,
    incarnation,
    addresses: ['127.0.0.1:52416'],
    memoryBytes: 1_000_000_000,
    isDraining: false,
    models: [TEST_MODEL],
  };
}

/** An instance `id` with a shard on each node; the runner of rank 0 is `id-0`. */
export function instanceRecord(id: string, nodeIds: readonly NodeId[] = [NODE]): InstanceRecord {
  return {
    instanceId: id as InstanceId,
    metaInstanceId: null,
    attempt: 1,
    failure: null,
    modelId: MODEL,
    sharding: 'Pipeline',
    transport: 'Ring',
    contextLength: 512,
    maxSequences: 4,
    cacheCells: 2048,
    shards: nodeIds.map((nodeId, rank) => ({
      rank,
      worldSize: nodeIds.length,
      nodeId,
      runnerId: `${id}-${rank}` as RunnerId,
      startLayer: 4 * rank,
      endLayer: 4 * rank + 4,
      memoryBytes: 1_000_000,
    })),
  };
}

export function taskRecord(id: string, instanceId: string, apiNodeId: NodeId = NODE): TaskRecord {
  return {
    taskId: id as TaskId,
    commandId: `command-${id}` as CommandId,
    instanceId: instanceId as InstanceId,
    kind: 'generation',
    status: 'running',
    apiNodeId,
    apiIncarnation: 1,
    createdAt: 0,
  };
}

/** What the first runner of an instance reports in the first life of its node. */
export function runnerFact(instanceId: string, status: RunnerStatus, sequence = 1): RunnerFact {
  return {
    runnerId: `${instanceId}-0` as RunnerId,
    incarnation: 1,
    sequence,
    status,
    pid: 1,
    restarts: 0,
    restartAt: null,
    error: null,
  };
}

export const nodeJoined = (nodeId: NodeId = NODE, incarnation = 1): ControlEvent => ({
  kind: 'NodeJoined',
  node: nodeFact(nodeId, incarnation),
});

export const instanceCreated = (id: string, nodeIds?: readonly NodeId[]): ControlEvent => ({
  kind: 'InstanceCreated',
  instance: instanceRecord(id, nodeIds),
});

export const instanceDeleted = (id: string): ControlEvent => ({
  kind: 'InstanceDeleted',
  instanceId: id as InstanceId,
});

export const runnerStatusChanged = (
  instanceId: string,
  status: RunnerStatus,
  sequence = 1,
): ControlEvent => ({
  kind: 'RunnerStatusChanged',
  runner: runnerFact(instanceId, status, sequence),
});

export const taskAssigned = (id: string, instanceId: string, apiNodeId?: NodeId): ControlEvent => ({
  kind: 'TaskAssigned',
  task: taskRecord(id, instanceId, apiNodeId),
});

export const taskFinished = (id: string, instanceId: string): ControlEvent => ({
  kind: 'TaskFinished',
  taskId: id as TaskId,
  instanceId: instanceId as InstanceId,
  status: 'complete',
});

/** What follows from these events where one node, `NODE`, is alive. */
export function stateAfter(...events: readonly ControlEvent[]): ClusterState {
  return [nodeJoined(), ...events].reduce(apply, EMPTY_STATE);
}
