/** The state as the API shows it: contract.md's JSON, in snake_case. */
import type { NodeId, RunnerId } from '../shared/ids.js';
import type { ControlEvent } from './events.js';
import { instanceStatus, runningTasks, tasksIn } from './instances.js';
import type {
  ClusterState,
  InstanceRecord,
  NodeRecord,
  RunnerFact,
  RunnerRecord,
  TaskRecord,
} from './state.js';

/** Newest measured values, which are never part of the replicated state. What the state knows too, it says itself. */
export interface Telemetry {
  readonly nodes: ReadonlyMap<NodeId, Readonly<Record<string, unknown>>>;
  readonly runners: ReadonlyMap<RunnerId, Readonly<Record<string, unknown>>>;
  readonly links: readonly LinkView[];
}

/** A link as the node at its one end measures it; null is what it does not know. */
export interface LinkView {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly interfaceKind: string | null;
  readonly rttUs: number | null;
  readonly bandwidthBytesPerS: number | null;
  readonly rdma: boolean;
}

export function viewState(
  state: ClusterState,
  telemetry: Telemetry,
  nodeId: NodeId,
): Record<string, unknown> {
  const nodeView = (node: NodeRecord) => ({ ...telemetry.nodes.get(node.nodeId), ...node });
  const instanceView = (instance: InstanceRecord) => ({
    ...instance,
    attempt: 1,
    status: instanceStatus(state, instance),
  });
  const runnerView = (runner: RunnerRecord) => {
    const isRunning = runner.status === 'ready' && runningTasks(state, runner.instanceId) > 0;
    const status = isRunning ? 'running' : runner.status;
    return { ...telemetry.runners.get(runner.runnerId), ...viewRunner({ ...runner, status }) };
  };
  const tasks = [...state.finishedTasks, ...tasksIn(state)];
  return toWire({
    index: state.index,
    term: state.term,
    masterNodeId: state.masterNodeId,
    nodeId,
    nodes: mapValues(state.nodes, nodeView),
    links: telemetry.links,
    instances: mapValues(state.instances, instanceView),
    runners: mapValues(state.runners, runnerView),
    metaInstances: new Map(),
    tasks: new Map(tasks.map((task) => [task.taskId, viewTask(task)])),
  }) as Record<string, unknown>;
}

/** With `incarnation` and `sequence`, readers of events can tell a late report from a newer one, as the reducer does. */
function viewRunner<Runner extends RunnerFact>({ error, restartAt, ...runner }: Runner) {
  return {
    ...runner,
    restartAt: restartAt === null ? null : new Date(restartAt).toISOString(),
    ...(error === null ? {} : { error }),
  };
}

function viewTask({ apiIncarnation, createdAt, ...task }: TaskRecord) {
  return { ...task, createdAt: new Date(createdAt).toISOString() };
}

/** An event as the API shows it, in snake_case but for the name of its kind. */
export function viewEvent(event: ControlEvent): Record<string, unknown> {
  switch (event.kind) {
    case 'RunnerStatusChanged':
      return toWire({ ...event, runner: viewRunner(event.runner) }) as Record<string, unknown>;
    case 'TaskAssigned':
      return toWire({ ...event, task: viewTask(event.task) }) as Record<string, unknown>;
    default:
      return toWire(event) as Record<string, unknown>;
  }
}

function mapValues<Key, Value, Result>(
  map: ReadonlyMap<Key, Value>,
  change: (value: Value) => Result,
): Map<Key, Result> {
  return new Map([...map].map(([key, value]) => [key, change(value)]));
}

/** Plain JSON: field names become snake_case, maps become objects whose keys (ids) stay as they are. */
function toWire(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toWire);
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, entry]) => [key, toWire(entry)]));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [snakeCase(key), toWire(entry)]));
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
