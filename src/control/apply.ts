/**
 * The reducer: `(state, event) → state`. Total and pure. An event about something that is no longer there
 * changes nothing but the index, so that late and repeated reports are harmless.
 */
import type { InstanceId, RunnerId } from '../shared/ids.js';
import { LIMITS } from '../shared/limits.js';
import type { ControlEvent } from './events.js';
import type { ClusterState, InstanceRecord, RunnerRecord, TaskRecord } from './state.js';

export function apply(state: ClusterState, event: ControlEvent): ClusterState {
  return { ...state, ...change(state, event), index: state.index + 1 };
}

function change(state: ClusterState, event: ControlEvent): Partial<ClusterState> {
  switch (event.kind) {
    case 'MasterElected':
      return event.term > state.term ? { term: event.term, masterNodeId: event.nodeId } : {};
    case 'NodeJoined':
      return { nodes: withEntry(state.nodes, event.node.nodeId, event.node) };
    case 'InstanceCreated':
      return instanceCreated(state, event.instance);
    case 'InstanceDeleted':
      return instanceDeleted(state, event.instanceId);
    case 'RunnerStatusChanged':
      return runnerStatusChanged(state, event);
    case 'TaskAssigned':
      return state.instances.has(event.task.instanceId)
        ? { tasks: withEntry(state.tasks, event.task.taskId, event.task) }
        : {};
    case 'TaskFinished': {
      const task = state.tasks.get(event.taskId);
      if (task === undefined || task.status !== 'running') return {};
      return { tasks: forgetOldest(withEntry(state.tasks, task.taskId, { ...task, status: event.status })) };
    }
  }
}

function instanceCreated(state: ClusterState, instance: InstanceRecord): Partial<ClusterState> {
  if (state.instances.has(instance.instanceId)) return {};
  const runners = new Map(state.runners);
  for (const shard of instance.shards) {
    runners.set(shard.runnerId, {
      runnerId: shard.runnerId,
      instanceId: instance.instanceId,
      nodeId: shard.nodeId,
      rank: shard.rank,
      pid: null,
      status: 'spawned',
      restarts: 0,
      restartAt: null,
      error: null,
    });
  }
  return { instances: withEntry(state.instances, instance.instanceId, instance), runners };
}

function instanceDeleted(state: ClusterState, instanceId: InstanceId): Partial<ClusterState> {
  if (!state.instances.has(instanceId)) return {};
  const instances = new Map(state.instances);
  instances.delete(instanceId);
  const ended = (task: TaskRecord): TaskRecord =>
    task.instanceId === instanceId && task.status === 'running' ? { ...task, status: 'cancelled' } : task;
  return {
    instances,
    runners: new Map([...state.runners].filter(([, runner]) => runner.instanceId !== instanceId)),
    tasks: forgetOldest(new Map([...state.tasks].map(([id, task]) => [id, ended(task)]))),
  };
}

function runnerStatusChanged(
  state: ClusterState,
  event: Extract<ControlEvent, { kind: 'RunnerStatusChanged' }>,
): Partial<ClusterState> {
  const runner = state.runners.get(event.runnerId);
  if (runner === undefined) return {};
  const changed: RunnerRecord = {
    ...runner,
    status: event.status,
    pid: event.pid,
    restarts: event.restarts,
    restartAt: event.restartAt,
    error: event.error ?? runner.error,
  };
  return { runners: withEntry<RunnerId, RunnerRecord>(state.runners, runner.runnerId, changed) };
}

function withEntry<Key, Value>(
  map: ReadonlyMap<Key, Value>,
  key: Key,
  value: Value,
): ReadonlyMap<Key, Value> {
  return new Map(map).set(key, value);
}

/** Keeps running tasks and the newest finished ones. Maps remember the order of insertion, oldest first. */
function forgetOldest<Id>(tasks: ReadonlyMap<Id, TaskRecord>): ReadonlyMap<Id, TaskRecord> {
  let surplus = [...tasks.values()].filter((task) => task.status !== 'running').length - LIMITS.finishedTasks;
  if (surplus <= 0) return tasks;
  const kept = new Map(tasks);
  for (const [id, task] of tasks) {
    if (surplus <= 0) break;
    if (task.status === 'running') continue;
    kept.delete(id);
    surplus -= 1;
  }
  return kept;
}
