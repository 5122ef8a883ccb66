/** The reducer's part for tasks: running ones by instance, so that counting them is cheap, and the newest ended ones. */
import { LIMITS } from '../shared/limits.js';
import type { ControlEvent } from './events.js';
import { withEntry, withNewest, without } from './maps.js';
import type { ClusterState, TaskRecord, TaskStatus } from './state.js';

type TaskChange = Partial<Pick<ClusterState, 'tasks' | 'finishedTasks'>>;

/** A task is in one place: its node knows which, when two masters that did not hear of each other chose two. */
export function taskAssigned(state: ClusterState, task: TaskRecord): TaskChange {
  const { taskId, instanceId } = task;
  if (!state.instances.has(instanceId)) return {};
  if (state.finishedTasks.some((finished) => finished.taskId === taskId)) return {};
  let { tasks } = state;
  for (const [otherId, running] of state.tasks) {
    if (otherId !== instanceId && running.has(taskId)) tasks = withoutTask(tasks, otherId, taskId);
  }
  const ofInstance = withEntry(tasks.get(instanceId) ?? new Map(), taskId, task);
  return { tasks: withEntry(tasks, instanceId, ofInstance) };
}

function withoutTask(
  tasks: ClusterState['tasks'],
  instanceId: TaskRecord['instanceId'],
  taskId: TaskRecord['taskId'],
): ClusterState['tasks'] {
  const rest = without(tasks.get(instanceId) ?? new Map(), taskId);
  return rest.size === 0 ? without(tasks, instanceId) : withEntry(tasks, instanceId, rest);
}

export function taskFinished(
  state: ClusterState,
  { taskId, instanceId, status }: Extract<ControlEvent, { kind: 'TaskFinished' }>,
): TaskChange {
  const running = state.tasks.get(instanceId);
  const task = running?.get(taskId);
  if (running === undefined || task === undefined) return {};
  return {
    tasks: withoutTask(state.tasks, instanceId, taskId),
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
