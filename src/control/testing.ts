/** Small states for the tests of this room. */
import type {
  CommandId,
  InstanceId,
  MetaInstanceId,
  ModelId,
  NodeId,
  RunnerId,
  TaskId,
} from '../shared/ids.js';
import { TEST_MODEL } from '../shared/testing.js';
import { apply } from './apply.js';
import type { ControlEvent } from './events.js';
import type { ModelShape } from './placement/types.js';
import type { RunnerStatus } from './runnerLife.js';
import {
  type ClusterState,
  EMPTY_STATE,
  type InstanceRecord,
  type MetaInstanceWish,
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
    excused: 0,
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

const SHAPE_LAYERS = 8;
const eachLayer = (value: number): number[] => new Array(SHAPE_LAYERS).fill(value);

/** A model of 8 layers that can be cut between any two, with 80 MB of overhead in each shard. */
export function modelShape(modelId: ModelId = MODEL, layerBytes = 50e6): ModelShape {
  return {
    modelId,
    layers: SHAPE_LAYERS,
    trainedContextTokens: 4_096,
    hiddenSize: 1_024,
    weights: {
      layerBytes: eachLayer(layerBytes),
      embeddingBytes: 20e6,
      firstShardBytes: 0,
      outputBytes: 20e6,
      tiedHeadBytes: 0,
      commonBytes: 0,
    },
    cache: { cellBytes: eachLayer(512), sequenceBytes: eachLayer(0), cellMultiple: 256 },
    overhead: {
      fixedBytes: 80e6,
      activationBytes: 5e6,
      logitsRowBytes: 100_000,
      mostOutputRows: 16,
      bytesPerCell: 100,
      passedRowsBytes: 1e6,
    },
    work: {
      weightType: null,
      layerReadBytes: eachLayer(layerBytes),
      layerOperations: eachLayer(2 * layerBytes),
      headReadBytes: 20e6,
      headOperations: 40e6,
    },
    cuts: {
      canBeCut: true,
      cuts: [1, 2, 3, 4, 5, 6, 7],
      layers: SHAPE_LAYERS,
      refusedLayerCounts: [],
    },
    slices: { canBeSliced: false, reason: 'its family is not known.' },
  };
}

export function metaInstanceWish(id: string, more: Partial<MetaInstanceWish> = {}): MetaInstanceWish {
  return {
    metaInstanceId: id as MetaInstanceId,
    modelId: MODEL,
    sharding: 'Pipeline',
    transport: 'Ring',
    minNodes: null,
    nodeIds: null,
    requireRdma: false,
    contextTokens: 512,
    sequences: 1,
    ...more,
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

export const metaInstanceCreated = (id: string, more?: Partial<MetaInstanceWish>): ControlEvent => ({
  kind: 'MetaInstanceCreated',
  metaInstance: metaInstanceWish(id, more),
  shape: modelShape(more?.modelId),
  createdAt: 0,
});

export const metaInstanceDeleted = (id: string): ControlEvent => ({
  kind: 'MetaInstanceDeleted',
  metaInstanceId: id as MetaInstanceId,
});

/** What follows from these events where one node, `NODE`, is alive. */
export function stateAfter(...events: readonly ControlEvent[]): ClusterState {
  return [nodeJoined(), ...events].reduce(apply, EMPTY_STATE);
}
