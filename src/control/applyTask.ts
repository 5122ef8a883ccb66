/** The reducer's part for tasks: running ones by instance, so that counting them is cheap, and the newest ended ones. */
import { LIMITS } from '../shared/limits.js';
import type { ControlEvent } from './events.js';
import { withEntry, withNewest, without } from './maps.js';
import type { ClusterState, TaskRecord, TaskStatus } from './state.js';

type TaskChange = Partial<Pick<ClusterState, 'tasks' | 'finishedTasks'>>;

export function taskAssigned(state: ClusterState, task: TaskRecord): TaskChange {
  const { taskId, instanceId } = task;
  if (!state.instances.has(instanceId)) return {};
  if (state.finishedTasks.some((finished) => finished.taskId === taskId)) return {};
  const tasks = withEntry(state.tasks.get(instanceId) ?? new Map(), taskId, task);
  return { tasks: withEntry(state.tasks, instanceId, tasks) };
}

export function taskFinished(
  state: ClusterState,
  { taskId, instanceId, status }: Extract<ControlEvent, { kind: 'TaskFinished' }>,
): TaskChange {
  const running = state.tasks.get(instanceId);
  const task = running?.get(taskId);
  if (running === undefined || task === undefined) return {};
  const rest = without(running, taskId);
  return {
    tasks: rest.size === 0 ? without(state.tasks, instanceId) : withEntry(state.tasks, instanceId, rest),
    finishedTasks: withNewest(state.finishedTasks, [{ ...task, status }], LIMITS.finishedTasks),
  };
}

/** Ends all running tasks that match. */
export function endTasks(
  state: ClusterState,
  matches: (task: TaskRecord) => boolean,
  status: Exclude<TaskStatus, 'running'>,
): TaskChange {
  const tasks = new Map<TaskRecord['instanceId'], ReadonlyMap<TaskRecord['taskId'], TaskRecord>>();
  const ended: TaskRecord[] = [];
  for (const [instanceId, running] of state.tasks) {
    const rest = new Map([...running].filter(([, task]) => !matches(task)));
    for (const task of running.values()) if (matches(task)) ended.push({ ...task, status });
    if (rest.size > 0) tasks.set(instanceId, rest);
  }
  if (ended.length === 0) return {};
  return { tasks, finishedTasks: withNewest(state.finishedTasks, ended, LIMITS.finishedTasks) };
}
