/** Small states for the tests of this room. */
import type { CommandId, InstanceId, ModelId, NodeId, RunnerId, TaskId } from '../shared/ids.js';
import { TEST_MODEL } from '../shared/testing.js';
import { apply } from './apply.js';
import type { ControlEvent } from './events.js';
import type { RunnerStatus } from './runnerLife.js';
import { type ClusterState, EMPTY_STATE, type InstanceRecord, type TaskRecord } from './state.js';

export const NODE = 'node-a' as NodeId;
export const MODEL = TEST_MODEL;

/** An instance `id` on one node with the one runner `id-0`. */
export function instanceRecord(id: string, modelId: ModelId = MODEL): InstanceRecord {
  return {
    instanceId: id as InstanceId,
    metaInstanceId: null,
    modelId,
    sharding: 'Pipeline',
    transport: 'Ring',
    contextLength: 512,
    maxSequences: 4,
    cacheCells: 2048,
    shards: [
      {
        rank: 0,
        worldSize: 1,
        nodeId: NODE,
        runnerId: `${id}-0` as RunnerId,
        startLayer: 0,
        endLayer: 4,
        memoryBytes: 1_000_000,
      },
    ],
  };
}

export function taskRecord(id: string, instanceId: string): TaskRecord {
  return {
    taskId: id as TaskId,
    commandId: `command-${id}` as CommandId,
    instanceId: instanceId as InstanceId,
    kind: 'generation',
    status: 'running',
    createdAt: 0,
  };
}

export function runnerStatusChanged(instanceId: string, status: RunnerStatus): ControlEvent {
  return {
    kind: 'RunnerStatusChanged',
    runnerId: `${instanceId}-0` as RunnerId,
    status,
    pid: 1,
    restarts: 0,
    restartAt: null,
  };
}

export function stateAfter(...events: readonly ControlEvent[]): ClusterState {
  return events.reduce(apply, EMPTY_STATE);
}
