/** The state as the API shows it: contract.md's JSON, in snake_case. */
import type { NodeId, RunnerId } from '../shared/ids.js';
import { LIMITS } from '../shared/limits.js';
import type { ControlEvent } from './events.js';
import { instanceStatus, runningTasks, tasksIn } from './instances.js';
import { metaInstanceStatus, wishOf } from './metaInstanceView.js';
import type {
  ClusterState,
  InstanceFailure,
  InstanceRecord,
  MetaInstanceRecord,
  MetaInstanceWish,
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
  const nodeView = ({ statusSince, ...node }: NodeRecord) => ({
    ...telemetry.nodes.get(node.nodeId),
    ...node,
  });
  const instanceView = ({ failure, ...instance }: InstanceRecord) => ({
    ...instance,
    status: instanceStatus(state, { ...instance, failure }),
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
    metaInstances: mapValues(state.metaInstances, (record) => viewMetaInstance(state, record)),
    modelCards: [...state.modelShapes.keys()],
    tasks: new Map(tasks.map((task) => [task.taskId, viewTask(task)])),
  }) as Record<string, unknown>;
}

function viewMetaInstance(state: ClusterState, record: MetaInstanceRecord) {
  const { createdAt, placementProblem: problem, nextAttempt, errors, consecutiveFailures } = record;
  return {
    ...viewWish(wishOf(record)),
    status: metaInstanceStatus(state, record),
    consecutiveFailures,
    maxRetries: LIMITS.instanceRetries,
    errors: errors.map(viewFailure),
    placementError: problem && { at: isoTime(problem.at), message: problem.message, nodes: problem.nodes },
    nextAttemptAt: nextAttempt && isoTime(nextAttempt.at),
    createdAt: isoTime(createdAt),
  };
}

/** In the words in which it is asked for. */
function viewWish({ contextTokens, sequences, ...wish }: MetaInstanceWish) {
  return { ...wish, contextLength: contextTokens, maxSequences: sequences };
}

function viewFailure({ at, nodeId, message }: InstanceFailure) {
  return { at: isoTime(at), ...(nodeId === null ? {} : { nodeId }), message };
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
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
    case 'InstanceCreated': {
      const { failure, ...instance } = event.instance;
      return toWire({ ...event, instance }) as Record<string, unknown>;
    }
    case 'InstanceFailed':
      return toWire({
        ...event,
        failure: viewFailure(event.failure),
        nextAttemptAt: event.nextAttemptAt && isoTime(event.nextAttemptAt),
      }) as Record<string, unknown>;
    case 'MetaInstanceCreated':
      return toWire({
        kind: event.kind,
        metaInstance: viewWish(event.metaInstance),
        createdAt: isoTime(event.createdAt),
      }) as Record<string, unknown>;
    case 'PlacementRefused': {
      const { kind, metaInstanceId, problem, nextAttemptAt } = event;
      const { message, nodes } = problem;
      return toWire({
        kind,
        metaInstanceId,
        placementError: { at: isoTime(problem.at), message, nodes },
        nextAttemptAt: isoTime(nextAttemptAt),
      }) as Record<string, unknown>;
    }
    case 'MetaInstanceServed':
    case 'MetaInstanceSurplus':
      return toWire({ ...event, since: event.since && isoTime(event.since) }) as Record<string, unknown>;
    case 'NodeStatusChanged':
      return toWire({ ...event, at: isoTime(event.at) }) as Record<string, unknown>;
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
