/**
 * The page's copy of the cluster: the replicated state, changed by the node's own reducer (`src/control/apply.ts`) and
 * shown by its own view (`src/control/view.ts`), and the measured values, which are no events.
 */
import { apply } from '../../src/control/apply.js';
import type { ClusterState, InstanceRecord, RunnerRecord, TaskRecord } from '../../src/control/state.js';
import { type Keep, type Telemetry, viewState } from '../../src/control/view.js';
import type { InstanceId, ModelId, NodeId, RunnerId } from '../../src/shared/ids.js';
import { readEvent } from './readEvent.js';
import {
  type Json,
  nodeMeasures,
  readInstance,
  readMetaInstance,
  readNode,
  readRunner,
  readTask,
  runnerMeasures,
  UNTOLD_SHAPE,
} from './readRecords.js';
import type { Entries, LinkEntry, NodeEntry, PageState, RunnerEntry, WireEvent } from './wire.js';

export interface Replica {
  readonly state: ClusterState;
  readonly telemetry: Telemetry;
  /** The node that serves the page. */
  readonly nodeId: NodeId;
}

export function readReplica(page: PageState): Replica {
  const tasks = Object.values(page.tasks).map((task) => readTask(task as unknown as Json));
  return {
    nodeId: page.node_id as NodeId,
    telemetry: {
      nodes: mapOf(page.nodes, nodeMeasures),
      runners: mapOf(page.runners, runnerMeasures),
      links: page.links as unknown as Telemetry['links'],
    },
    state: {
      index: page.index,
      term: page.term,
      masterNodeId: page.master_node_id as NodeId | null,
      nodes: mapOf(page.nodes, readNode),
      instances: mapOf<InstanceId, InstanceRecord>(page.instances, readInstance),
      runners: atRest(mapOf<RunnerId, RunnerRecord>(page.runners, readRunner), tasks),
      tasks: byInstance(tasks.filter(({ status }) => status === 'running')),
      finishedTasks: tasks.filter(({ status }) => status !== 'running'),
      metaInstances: mapOf(page.meta_instances, readMetaInstance),
      modelShapes: new Map((page.model_cards ?? []).map((modelId) => [modelId as ModelId, UNTOLD_SHAPE])),
      // A page is not told of what was deleted before it came; the master brings none of it back.
      deletedInstances: [],
      deletedMetaInstances: [],
    },
  };
}

/** @returns null when only the whole state helps */
export function told(replica: Replica, wire: WireEvent): Replica | null {
  const event = readEvent(wire);
  return event === null ? null : { ...replica, state: apply(replica.state, event) };
}

/** Only the measured fields: what is decided comes with the events, in their order. */
export function measured(
  replica: Replica,
  nodes: Entries<NodeEntry>,
  runners: Entries<RunnerEntry>,
  links: readonly LinkEntry[],
): Replica {
  const { telemetry } = replica;
  return {
    ...replica,
    telemetry: {
      nodes: news(telemetry.nodes, mapOf(nodes, nodeMeasures)),
      runners: news(telemetry.runners, mapOf(runners, runnerMeasures)),
      links: links as unknown as Telemetry['links'],
    },
  };
}

/** Shows replicas one after the other; what is the same in two of them is the same object. */
export class ReplicaView {
  readonly #made = new WeakMap<object, { readonly parts: readonly unknown[]; readonly json: unknown }>();
  readonly #keep: Keep = (record, parts, make) => {
    const known = this.#made.get(record);
    if (known?.parts.length === parts.length && known.parts.every((part, at) => part === parts[at]))
      return known.json as ReturnType<typeof make>;
    const json = make();
    this.#made.set(record, { parts, json });
    return json;
  };

  show({ state, telemetry, nodeId }: Replica): PageState {
    return viewState(state, telemetry, nodeId, this.#keep) as unknown as PageState;
  }
}

function mapOf<Id extends string, Value>(
  entries: Entries<object>,
  read: (json: Json) => Value,
): Map<Id, Value> {
  return new Map(Object.entries(entries).map(([id, entry]) => [id as Id, read(entry as Json)]));
}

/** The view makes `running` of a runner that is ready and has tasks; it becomes ready again when they end. */
function atRest(runners: Map<RunnerId, RunnerRecord>, tasks: readonly TaskRecord[]): ClusterState['runners'] {
  const busy = new Set(tasks.flatMap(({ status, instanceId }) => (status === 'running' ? instanceId : [])));
  return new Map(
    [...runners].map(([id, runner]) => [
      id,
      runner.status === 'running' && busy.has(runner.instanceId) ? { ...runner, status: 'ready' } : runner,
    ]),
  );
}

function byInstance(tasks: readonly TaskRecord[]): ClusterState['tasks'] {
  const found = new Map<InstanceId, Map<TaskRecord['taskId'], TaskRecord>>();
  for (const task of tasks) {
    const own = found.get(task.instanceId) ?? new Map();
    found.set(task.instanceId, own.set(task.taskId, task));
  }
  return found;
}

/** Values that are as they were stay the same objects. What is no longer measured keeps its last values. */
function news<Id>(known: ReadonlyMap<Id, Json>, heard: ReadonlyMap<Id, Json>): Map<Id, Json> {
  const all = new Map(known);
  for (const [id, json] of heard) {
    if (JSON.stringify(known.get(id)) !== JSON.stringify(json)) all.set(id, json);
  }
  return all;
}
