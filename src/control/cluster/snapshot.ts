/** The state as plain data, with the position of the log that it stands for: on disk and for a node that joins. */
import type { ModelShape } from '../placement/types.js';
import type {
  ClusterState,
  InstanceRecord,
  MetaInstanceRecord,
  NodeRecord,
  RunnerRecord,
  TaskRecord,
} from '../state.js';
import type { Position } from './position.js';

export interface Snapshot {
  readonly position: Position;
  readonly term: number;
  readonly masterNodeId: ClusterState['masterNodeId'];
  readonly nodes: readonly NodeRecord[];
  readonly instances: readonly InstanceRecord[];
  readonly runners: readonly RunnerRecord[];
  readonly tasks: readonly TaskRecord[];
  readonly finishedTasks: readonly TaskRecord[];
  readonly deletedInstances: ClusterState['deletedInstances'];
  readonly metaInstances: readonly MetaInstanceRecord[];
  readonly deletedMetaInstances: ClusterState['deletedMetaInstances'];
  readonly modelShapes: readonly ModelShape[];
}

export function toSnapshot(state: ClusterState, position: Position): Snapshot {
  return {
    position,
    term: state.term,
    masterNodeId: state.masterNodeId,
    nodes: [...state.nodes.values()],
    instances: [...state.instances.values()],
    runners: [...state.runners.values()],
    tasks: [...state.tasks.values()].flatMap((tasks) => [...tasks.values()]),
    finishedTasks: state.finishedTasks,
    deletedInstances: state.deletedInstances,
    metaInstances: [...state.metaInstances.values()],
    deletedMetaInstances: state.deletedMetaInstances,
    modelShapes: [...state.modelShapes.values()],
  };
}

export function fromSnapshot(snapshot: Snapshot): ClusterState {
  const tasks = new Map<TaskRecord['instanceId'], Map<TaskRecord['taskId'], TaskRecord>>();
  for (const task of snapshot.tasks) {
    const ofInstance = tasks.get(task.instanceId) ?? new Map();
    tasks.set(task.instanceId, ofInstance.set(task.taskId, task));
  }
  return {
    index: snapshot.position.index,
    term: snapshot.term,
    masterNodeId: snapshot.masterNodeId,
    nodes: new Map(snapshot.nodes.map((node) => [node.nodeId, node])),
    instances: new Map(snapshot.instances.map((instance) => [instance.instanceId, instance])),
    runners: new Map(snapshot.runners.map((runner) => [runner.runnerId, runner])),
    tasks,
    finishedTasks: snapshot.finishedTasks,
    deletedInstances: snapshot.deletedInstances,
    metaInstances: new Map(snapshot.metaInstances.map((wish) => [wish.metaInstanceId, wish])),
    deletedMetaInstances: snapshot.deletedMetaInstances,
    modelShapes: new Map(snapshot.modelShapes.map((shape) => [shape.modelId, shape])),
  };
}
