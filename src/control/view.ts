/** The state as the API shows it: contract.md's JSON, in snake_case. */
import type { NodeId, RunnerId } from '../shared/ids.js';
import type { ControlEvent } from './events.js';
import { instanceStatus, runningTasks } from './instances.js';
import type { ClusterState, InstanceRecord, RunnerRecord } from './state.js';

/** Newest measured values, which are never part of the replicated state. */
export interface Telemetry {
  readonly nodes: ReadonlyMap<NodeId, Readonly<Record<string, unknown>>>;
  readonly runners: ReadonlyMap<RunnerId, Readonly<Record<string, unknown>>>;
}

export function viewState(
  state: ClusterState,
  telemetry: Telemetry,
  nodeId: NodeId,
): Record<string, unknown> {
  const instanceView = (instance: InstanceRecord) => ({
    ...instance,
    attempt: 1,
    status: instanceStatus(state, instance),
  });
  const runnerView = ({ error, restartAt, ...runner }: RunnerRecord) => ({
    ...runner,
    status:
      runner.status === 'ready' && runningTasks(state, runner.instanceId) > 0 ? 'running' : runner.status,
    restartAt: restartAt === null ? null : new Date(restartAt).toISOString(),
    ...(error === null ? {} : { error }),
    ...telemetry.runners.get(runner.runnerId),
  });
  return toWire({
    index: state.index,
    term: state.term,
    masterNodeId: state.masterNodeId,
    nodeId,
    nodes: mapValues(state.nodes, (node) => ({
      ...node,
      incarnation: 1,
      ...telemetry.nodes.get(node.nodeId),
    })),
    links: [],
    instances: mapValues(state.instances, instanceView),
    runners: mapValues(state.runners, runnerView),
    metaInstances: new Map(),
    tasks: mapValues(state.tasks, (task) => ({ ...task, createdAt: new Date(task.createdAt).toISOString() })),
  }) as Record<string, unknown>;
}

/** An event as the API shows it, in snake_case but for the name of its kind. */
export function viewEvent(event: ControlEvent): Record<string, unknown> {
  return toWire(event) as Record<string, unknown>;
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
