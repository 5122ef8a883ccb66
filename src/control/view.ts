/** The state as the API shows it: contract.md's JSON, in snake_case. */
import type { NodeId, RunnerId } from '../shared/ids.js';
import { LIMITS } from '../shared/limits.js';
import type { ControlEvent } from './events.js';
import { instanceStatus, runningTasks, tasksIn } from './instances.js';
import { type MetaInstanceStatus, metaInstanceStatus, wishOf } from './metaInstanceView.js';
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

/**
 * Makes the JSON of a record, or gives back what was made of it before out of the same parts: who shows every state in
 * a row makes only what changed.
 */
export type Keep = <Json>(record: object, parts: readonly unknown[], make: () => Json) => Json;
const MADE_ANEW: Keep = (_record, _parts, make) => make();

export function viewState(
  state: ClusterState,
  telemetry: Telemetry,
  nodeId: NodeId,
  keep: Keep = MADE_ANEW,
): Record<string, unknown> {
  const nodeView = (node: NodeRecord) => {
    const measured = telemetry.nodes.get(node.nodeId);
    return keep(node, [measured], () => viewNode(node, measured));
  };
  const instanceView = (instance: InstanceRecord) => {
    const status = instanceStatus(state, instance);
    return keep(instance, [status], () => toWire({ ...viewInstance(instance), status }));
  };
  const runnerView = (runner: RunnerRecord) => {
    const measured = telemetry.runners.get(runner.runnerId);
    const isRunning = runner.status === 'ready' && runningTasks(state, runner.instanceId) > 0;
    const status = isRunning ? 'running' : runner.status;
    return keep(runner, [measured, status], () =>
      toWire({ ...measured, ...viewRunner({ ...runner, status }) }),
    );
  };
  const wishView = (record: MetaInstanceRecord) => {
    const status = metaInstanceStatus(state, record);
    return keep(record, [status], () => toWire(viewMetaInstance(record, status)));
  };
  const taskView = (task: TaskRecord) => keep(task, [], () => toWire(viewTask(task)));
  const tasks = new Map([...state.finishedTasks, ...tasksIn(state)].map((task) => [task.taskId, task]));
  const entries = <Id extends string, Entry>(
    map: ReadonlyMap<Id, Entry>,
    view: (entry: Entry) => unknown,
    record: object = map,
  ) => {
    const views = [...map.values()].map(view);
    return keep(record, views, () => Object.fromEntries([...map.keys()].map((id, at) => [id, views[at]])));
  };
  return {
    index: state.index,
    term: state.term,
    master_node_id: state.masterNodeId,
    node_id: nodeId,
    nodes: entries(state.nodes, nodeView),
    links: keep(telemetry.links, [], () => toWire(telemetry.links)),
    instances: entries(state.instances, instanceView),
    runners: entries(state.runners, runnerView),
    meta_instances: entries(state.metaInstances, wishView),
    model_cards: [...state.modelShapes.keys()],
    // Nothing brings files to a node yet; who reads the state may count on the field.
    downloads: {},
    tasks: entries(tasks, taskView, state.tasks),
  };
}

function viewNode(
  { statusSince, ...node }: NodeRecord,
  measured: Readonly<Record<string, unknown>> | undefined,
) {
  return toWire({ ...measured, ...node });
}

function viewInstance({ failure, excused: _counted, ...instance }: InstanceRecord) {
  return { ...instance, failure: failure && viewFailure(failure) };
}

function viewMetaInstance(record: MetaInstanceRecord, status: MetaInstanceStatus) {
  const { createdAt, placementProblem: problem, nextAttempt, errors, consecutiveFailures } = record;
  return {
    ...viewWish(wishOf(record)),
    status,
    consecutiveFailures,
    maxRetries: LIMITS.instanceRetries,
    errors: errors.map(viewFailure),
    avoidedNodes: record.avoidedNodes,
    placementError: problem && { at: isoTime(problem.at), message: problem.message, nodes: problem.nodes },
    nextAttemptAt: nextAttempt && isoTime(nextAttempt.at),
    createdAt: isoTime(createdAt),
  };
}

/** In the words in which it is asked for. */
function viewWish({ contextTokens, sequences, ...wish }: MetaInstanceWish) {
  return { ...wish, contextLength: contextTokens, maxSequences: sequences };
}

function viewFailure({ at, nodeId, message, isExcused }: InstanceFailure) {
  return {
    at: isoTime(at),
    ...(nodeId === null ? {} : { nodeId }),
    message,
    ...(isExcused === true ? { isExcused } : {}),
  };
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

function viewTask({ createdAt, ...task }: TaskRecord) {
  return { ...task, createdAt: new Date(createdAt).toISOString() };
}

/** An event as the API shows it, in snake_case but for the name of its kind. */
export function viewEvent(event: ControlEvent): Record<string, unknown> {
  switch (event.kind) {
    case 'RunnerStatusChanged':
      return toWire({ ...event, runner: viewRunner(event.runner) }) as Record<string, unknown>;
    case 'TaskAssigned':
      return toWire({ ...event, task: viewTask(event.task) }) as Record<string, unknown>;
    case 'InstanceCreated':
      return toWire({ ...event, instance: viewInstance(event.instance) }) as Record<string, unknown>;
    case 'InstanceFailed':
      return toWire({
        ...event,
        failure: viewFailure(event.failure),
        nextAttemptAt: event.nextAttemptAt === null ? null : isoTime(event.nextAttemptAt),
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
      return toWire({
        ...event,
        since: event.since === null ? null : isoTime(event.since),
      }) as Record<string, unknown>;
    case 'NodeStatusChanged':
      return toWire({ ...event, at: isoTime(event.at) }) as Record<string, unknown>;
    default:
      return toWire(event) as Record<string, unknown>;
  }
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
