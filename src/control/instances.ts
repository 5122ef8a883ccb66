/** What can be read off the state about instances and their tasks. */
import type { InstanceId, TaskId } from '../shared/ids.js';
import { isServing } from './runnerLife.js';
import type { ClusterState, InstanceRecord, RunnerRecord, TaskRecord } from './state.js';

export type InstanceStatus = 'starting' | 'ready' | 'failing' | 'stopping';

/**
 * Are its runners started anew all together, by the master? The only runner of an instance that nobody declared is
 * looked after by its own node (R48).
 */
export function restartsAsWhole({ metaInstanceId, shards }: InstanceRecord): boolean {
  return metaInstanceId !== null || shards.length > 1;
}

export function runnersOf(state: ClusterState, instance: InstanceRecord): RunnerRecord[] {
  return instance.shards.flatMap((shard) => state.runners.get(shard.runnerId) ?? []);
}

/** A node that is dead, or not known, takes its shard with it; when it comes back, what its runners say counts again. */
export function instanceStatus(state: ClusterState, instance: InstanceRecord): InstanceStatus {
  if (instance.failure !== null) return 'failing';
  if (instance.shards.some((shard) => isNodeGone(state, shard.nodeId))) return 'failing';
  const statuses = runnersOf(state, instance).map((runner) => runner.status);
  if (statuses.includes('failed')) return 'failing';
  if (statuses.some((status) => status === 'stopping' || status === 'stopped')) return 'stopping';
  return statuses.every(isServing) ? 'ready' : 'starting';
}

export function isNodeGone(state: ClusterState, nodeId: InstanceRecord['shards'][number]['nodeId']): boolean {
  return (state.nodes.get(nodeId)?.status ?? 'dead') === 'dead';
}

export function runningTasks(state: ClusterState, instanceId: InstanceId): number {
  return state.tasks.get(instanceId)?.size ?? 0;
}

/** All running tasks. */
export function* tasksIn(state: ClusterState): Generator<TaskRecord> {
  for (const tasks of state.tasks.values()) yield* tasks.values();
}

export function findTask(state: ClusterState, taskId: TaskId): TaskRecord | null {
  for (const tasks of state.tasks.values()) {
    const task = tasks.get(taskId);
    if (task !== undefined) return task;
  }
  return state.finishedTasks.find((task) => task.taskId === taskId) ?? null;
}
