/** What can be read off the state about instances. */
import type { InstanceId } from '../shared/ids.js';
import { isServing } from './runnerLife.js';
import type { ClusterState, InstanceRecord, RunnerRecord } from './state.js';

export type InstanceStatus = 'starting' | 'ready' | 'failing' | 'stopping';

export function runnersOf(state: ClusterState, instance: InstanceRecord): RunnerRecord[] {
  return instance.shards.flatMap((shard) => state.runners.get(shard.runnerId) ?? []);
}

export function instanceStatus(state: ClusterState, instance: InstanceRecord): InstanceStatus {
  const statuses = runnersOf(state, instance).map((runner) => runner.status);
  if (statuses.includes('failed')) return 'failing';
  if (statuses.some((status) => status === 'stopping' || status === 'stopped')) return 'stopping';
  return statuses.every(isServing) ? 'ready' : 'starting';
}

export function runningTasks(state: ClusterState, instanceId: InstanceId): number {
  let count = 0;
  for (const task of state.tasks.values()) {
    if (task.instanceId === instanceId && task.status === 'running') count += 1;
  }
  return count;
}
