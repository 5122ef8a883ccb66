/**
 * The page's reducer: `(state, event) → state` on the API's JSON. It does what the node's own reducer does
 * (`src/control/apply.ts`; a law over arbitrary histories holds them together), as far as the JSON tells enough. Where
 * it does not, and for events that this page does not know, the answer is null: the whole state must be fetched.
 */
import { isServing } from '../../src/control/runnerLife.js';
import { LIMITS } from '../../src/shared/limits.js';
import {
  type Entries,
  type InstanceEntry,
  isComplete,
  type NodeEntry,
  type PageState,
  type RunnerEntry,
  type TaskEntry,
  type WireEvent,
} from './wire.js';

const MOVES_WISHES: ReadonlySet<string> = new Set([
  'NodeJoined',
  'NodeStatusChanged',
  'NodeForgotten',
  'InstanceCreated',
  'InstanceDeleted',
  'RunnerStatusChanged',
]);

/** @returns null when only the whole state helps */
export function reduce(state: PageState, event: WireEvent, index: number): PageState | null {
  // What becomes of a wish follows from more than its JSON tells.
  if (MOVES_WISHES.has(event.kind) && Object.keys(state.meta_instances).length > 0) return null;
  const changed = isComplete(event) ? change(state, event) : null;
  return changed === null ? null : settle({ ...changed, index });
}

function change(state: PageState, event: WireEvent): PageState | null {
  switch (event.kind) {
    case 'MasterElected':
      return {
        ...state,
        term: Math.max(state.term, event.term as number),
        master_node_id: event.node_id as string,
      };
    case 'NodeJoined':
      return nodeJoined(state, event.node as NodeEntry);
    case 'NodeStatusChanged':
      return nodeStatusChanged(state, event.node_id as string, event.status as NodeEntry['status']);
    case 'NodeForgotten':
      return nodeForgotten(state, event.node_id as string);
    case 'InstanceCreated':
      return instanceCreated(state, event.instance as InstanceEntry);
    case 'InstanceDeleted':
      return instanceDeleted(state, event.instance_id as string);
    case 'RunnerStatusChanged':
      return runnerStatusChanged(state, event.runner as RunnerEntry);
    case 'TaskAssigned':
      return taskAssigned(state, event.task as TaskEntry);
    case 'TaskFinished':
      return endTasks(
        state,
        (task) => task.task_id === event.task_id && task.instance_id === event.instance_id,
        event.status as TaskEntry['status'],
      );
    default:
      return null;
  }
}

/** A node in a new life ends what belonged to the one before, and the JSON does not say what did. */
function nodeJoined(state: PageState, node: NodeEntry): PageState | null {
  const known = state.nodes[node.node_id];
  if (known !== undefined && known.incarnation > node.incarnation) return state;
  if (known !== undefined && known.incarnation < node.incarnation) return null;
  return { ...state, nodes: { ...state.nodes, [node.node_id]: { ...known, ...node, status: 'alive' } } };
}

function nodeStatusChanged(state: PageState, nodeId: string, status: NodeEntry['status']): PageState {
  const node = state.nodes[nodeId];
  if (node === undefined || node.status === status) return state;
  const changed = { ...state, nodes: { ...state.nodes, [nodeId]: { ...node, status } } };
  return status === 'dead' ? endTasks(changed, (task) => task.api_node_id === nodeId, 'failed') : changed;
}

function nodeForgotten(state: PageState, nodeId: string): PageState {
  if (state.nodes[nodeId]?.status !== 'dead') return state;
  let left: PageState = { ...state, nodes: without(state.nodes, nodeId) };
  for (const instance of Object.values(state.instances)) {
    if (instance.shards.some((shard) => shard.node_id === nodeId))
      left = instanceDeleted(left, instance.instance_id);
  }
  return left;
}

function instanceCreated(state: PageState, instance: InstanceEntry): PageState | null {
  const id = instance.instance_id;
  // It may be one that a user took back, and the page is not told of those.
  if (instance.meta_instance_id !== null) return null;
  if (state.instances[id] !== undefined || state.deleted_instances?.includes(id)) return state;
  const runners: Record<string, RunnerEntry> = { ...state.runners };
  for (const { runner_id, node_id, rank } of instance.shards) {
    runners[runner_id] = {
      runner_id,
      instance_id: id,
      node_id,
      rank,
      incarnation: 0,
      sequence: 0,
      pid: null,
      status: 'spawned',
      restarts: 0,
      restart_at: null,
    };
  }
  const created = { ...instance, attempt: instance.attempt ?? 1, status: 'starting' as const };
  return { ...state, runners, instances: { ...state.instances, [id]: created } };
}

function instanceDeleted(state: PageState, instanceId: string): PageState {
  const known = state.deleted_instances ?? [];
  if (known.includes(instanceId)) return state;
  const deleted = [...known, instanceId].slice(-LIMITS.deletedInstances);
  if (state.instances[instanceId] === undefined) return { ...state, deleted_instances: deleted };
  const left = {
    ...state,
    deleted_instances: deleted,
    instances: without(state.instances, instanceId),
    runners: filter(state.runners, (runner) => runner.instance_id !== instanceId),
  };
  return endTasks(left, (task) => task.instance_id === instanceId, 'cancelled');
}

/** Without an error in the report, the last failure is over. */
function runnerStatusChanged(state: PageState, fact: RunnerEntry): PageState {
  const known = state.runners[fact.runner_id];
  if (known === undefined || !isNewer(fact, known)) return state;
  const { error: _past, ...kept } = known;
  return { ...state, runners: { ...state.runners, [fact.runner_id]: { ...kept, ...fact } } };
}

function isNewer(fact: RunnerEntry, known: RunnerEntry): boolean {
  const [incarnation, past] = [fact.incarnation ?? 0, known.incarnation ?? 0];
  return incarnation === past ? (fact.sequence ?? 0) > (known.sequence ?? 0) : incarnation > past;
}

function taskAssigned(state: PageState, task: TaskEntry): PageState {
  const status = state.tasks[task.task_id]?.status ?? 'running';
  if (status !== 'running' || state.instances[task.instance_id] === undefined) return state;
  return { ...state, tasks: { ...state.tasks, [task.task_id]: task } };
}

/** The ended ones stand behind all others, in the order in which they ended; of those the newest are kept. */
function endTasks(
  state: PageState,
  isConcerned: (task: TaskEntry) => boolean,
  status: TaskEntry['status'],
): PageState {
  const all = Object.values(state.tasks);
  const ending = all.filter((task) => task.status === 'running' && isConcerned(task));
  if (ending.length === 0) return state;
  const finished = [
    ...all.filter((task) => task.status !== 'running'),
    ...ending.map((task) => ({ ...task, status })),
  ].slice(-LIMITS.finishedTasks);
  const running = all.filter((task) => task.status === 'running' && !ending.includes(task));
  return {
    ...state,
    tasks: Object.fromEntries([...finished, ...running].map((task) => [task.task_id, task])),
  };
}

/** What follows from the rest: whether a runner is at work, and the status of each instance. Equal objects stay. */
function settle(state: PageState): PageState {
  const busy = new Set(
    Object.values(state.tasks)
      .filter((task) => task.status === 'running')
      .map((task) => task.instance_id),
  );
  const runners = map(state.runners, (runner) => {
    if (!isServing(runner.status)) return runner;
    const status = busy.has(runner.instance_id) ? ('running' as const) : ('ready' as const);
    return runner.status === status ? runner : { ...runner, status };
  });
  const instances = map(state.instances, (instance) => {
    const status = statusOf(instance, state.nodes, runners);
    return instance.status === status ? instance : { ...instance, status };
  });
  return { ...state, runners, instances };
}

function statusOf(
  instance: InstanceEntry,
  nodes: Entries<NodeEntry>,
  runners: Entries<RunnerEntry>,
): InstanceEntry['status'] {
  if (instance.shards.some((shard) => (nodes[shard.node_id]?.status ?? 'dead') === 'dead')) return 'failing';
  const statuses = instance.shards.flatMap((shard) => runners[shard.runner_id]?.status ?? []);
  if (statuses.includes('failed')) return 'failing';
  if (statuses.some((status) => status === 'stopping' || status === 'stopped')) return 'stopping';
  return statuses.every(isServing) ? 'ready' : 'starting';
}

function without<Entry>(entries: Entries<Entry>, id: string): Entries<Entry> {
  const { [id]: _gone, ...rest } = entries;
  return rest;
}

function filter<Entry>(entries: Entries<Entry>, keeps: (entry: Entry) => boolean): Entries<Entry> {
  return Object.fromEntries(Object.entries(entries).filter(([, entry]) => keeps(entry)));
}

function map<Entry>(entries: Entries<Entry>, change: (entry: Entry) => Entry): Entries<Entry> {
  let isChanged = false;
  const result = Object.entries(entries).map(([id, entry]) => {
    const next = change(entry);
    isChanged ||= next !== entry;
    return [id, next] as const;
  });
  return isChanged ? Object.fromEntries(result) : entries;
}
