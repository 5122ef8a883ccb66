/** The API's JSON as the page reads it: the state of contract.md, and the events that change it. */
import type { InstanceStatus } from '../../src/control/instances.js';
import type { RunnerStatus } from '../../src/control/runnerLife.js';
import type { NodeStatus, TaskStatus } from '../../src/control/state.js';

export interface PageState {
  readonly index: number;
  readonly term: number;
  readonly master_node_id: string | null;
  /** The node that serves this page. */
  readonly node_id: string;
  readonly nodes: Entries<NodeEntry>;
  readonly links: readonly LinkEntry[];
  readonly instances: Entries<InstanceEntry>;
  readonly runners: Entries<RunnerEntry>;
  readonly meta_instances: Entries<MetaInstanceEntry>;
  readonly tasks: Entries<TaskEntry>;
  /** Models that somebody wishes for. */
  readonly model_cards?: readonly string[];
}

export type Entries<Entry> = Readonly<Record<string, Entry>>;

export interface NodeEntry {
  readonly node_id: string;
  readonly name: string;
  readonly status: NodeStatus;
  readonly incarnation: number;
  readonly addresses: readonly string[];
  readonly is_draining?: boolean;
  /** What it offers to models; 0 for a node that runs none. */
  readonly memory_bytes?: number;
  readonly memory?: { readonly total_bytes: number; readonly available_bytes: number };
  readonly cpu?: { readonly cores: number; readonly load_average: number } | null;
  readonly backends?: readonly string[];
  /** Models whose files it holds. */
  readonly models?: readonly string[];
  readonly api_url?: string | null;
  readonly last_seen?: string;
}

export interface LinkEntry {
  readonly from: string;
  readonly to: string;
  readonly interface_kind: string | null;
  readonly rtt_us: number | null;
  readonly bandwidth_bytes_per_s: number | null;
  readonly rdma: boolean;
}

export interface ShardEntry {
  readonly rank: number;
  readonly world_size: number;
  readonly node_id: string;
  readonly runner_id: string;
  readonly start_layer: number;
  readonly end_layer: number;
  readonly memory_bytes: number;
}

export interface InstanceEntry {
  readonly instance_id: string;
  readonly meta_instance_id: string | null;
  readonly model_id: string;
  readonly sharding: string;
  readonly transport: string;
  readonly attempt: number;
  readonly status: InstanceStatus;
  readonly context_length?: number;
  readonly max_sequences?: number;
  /** Why this attempt failed, until the next one. */
  readonly failure?: FailureEntry | null;
  readonly shards: readonly ShardEntry[];
}

export interface RunnerEntry {
  readonly runner_id: string;
  readonly instance_id: string;
  readonly node_id: string;
  readonly rank: number;
  /** Start of its node, and count of the reports since then: a later report wins. */
  readonly incarnation?: number;
  readonly sequence?: number;
  readonly pid: number | null;
  readonly status: RunnerStatus;
  /** Share of the loading that is done, from 0 to 1. */
  readonly progress?: number | null;
  readonly restarts: number;
  readonly restart_at: string | null;
  readonly error?: RunnerError;
  readonly load?: { readonly resident_bytes?: number } | null;
}

export interface RunnerError {
  readonly code: string;
  readonly message: string;
  readonly phase?: string;
  readonly signal?: string;
  readonly exit_code?: number;
  readonly stderr_tail?: readonly string[];
}

export interface FailureEntry {
  readonly at: string;
  readonly node_id?: string;
  readonly message: string;
}

/** Why a wish has no place, and what each node says to it. */
export interface PlacementErrorEntry {
  readonly at: string;
  readonly message: string;
  readonly nodes: readonly { readonly node_id: string; readonly name: string; readonly reason: string }[];
}

export interface MetaInstanceEntry {
  readonly meta_instance_id: string;
  readonly model_id: string;
  readonly sharding: string;
  readonly transport: string;
  readonly min_nodes: number | null;
  readonly node_ids: readonly string[] | null;
  readonly context_length?: number | null;
  readonly max_sequences?: number | null;
  readonly status: 'pending' | 'placing' | 'starting' | 'ready' | 'retrying' | 'failed';
  readonly consecutive_failures: number;
  /** Times that a failed instance is started anew where it is. */
  readonly max_retries?: number;
  /** The newest failures, oldest first. */
  readonly errors: readonly FailureEntry[];
  /** Nodes at which it failed for good. */
  readonly avoided_nodes?: readonly string[];
  readonly placement_error: PlacementErrorEntry | null;
  readonly next_attempt_at: string | null;
}

export interface TaskEntry {
  readonly task_id: string;
  readonly command_id: string;
  readonly instance_id: string;
  readonly kind: string;
  readonly status: TaskStatus;
  readonly api_node_id?: string;
  readonly created_at: string;
}

/** An event of `/events`: its kind, and the fields of that kind in snake_case. */
export interface WireEvent {
  readonly kind: string;
  readonly [field: string]: unknown;
}

/** One message of `/events`. */
export type WireMessage =
  | { readonly index: number; readonly event: WireEvent }
  | { readonly index: number; readonly state: PageState };

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A state of any version of Shoal, with what this page looks into at least empty. Null when it is no state. */
export function readState(value: unknown): PageState | null {
  if (!isObject(value) || typeof value.index !== 'number') return null;
  const entries = (field: string) => (isObject(value[field]) ? value[field] : {});
  return {
    term: 0,
    master_node_id: null,
    node_id: '',
    ...value,
    index: value.index,
    nodes: entries('nodes'),
    links: Array.isArray(value.links) ? value.links : [],
    instances: entries('instances'),
    runners: entries('runners'),
    meta_instances: entries('meta_instances'),
    tasks: entries('tasks'),
    model_cards: Array.isArray(value.model_cards) ? value.model_cards : [],
  } as PageState;
}

/** What the page looks into, of each kind of event that it knows. */
const EVENT_FIELDS: Readonly<Record<string, readonly string[]>> = {
  MasterElected: ['node_id', 'term'],
  NodeJoined: ['node.node_id', 'node.incarnation'],
  NodeStatusChanged: ['node_id', 'status'],
  NodeForgotten: ['node_id'],
  InstanceCreated: ['instance.instance_id', 'instance.shards'],
  InstanceDeleted: ['instance_id'],
  InstanceFailed: ['instance_id', 'attempt', 'failure.message'],
  InstanceRetrying: ['instance_id', 'attempt'],
  MetaInstanceCreated: ['meta_instance.meta_instance_id', 'meta_instance.model_id'],
  MetaInstanceDeleted: ['meta_instance_id'],
  MetaInstanceRetried: ['meta_instance_id'],
  PlacementRefused: ['meta_instance_id', 'placement_error.message'],
  MetaInstanceFailed: ['meta_instance_id'],
  MetaInstanceServed: ['meta_instance_id', 'since'],
  MetaInstanceSurplus: ['meta_instance_id', 'since'],
  MetaInstanceRecovered: ['meta_instance_id'],
  RunnerStatusChanged: ['runner.runner_id', 'runner.status'],
  TaskAssigned: ['task.task_id', 'task.command_id', 'task.instance_id'],
  TaskFinished: ['task_id', 'instance_id', 'status'],
};

/** Is it of a kind that the page knows, with all that it looks into? One of another version may lack something. */
export function isComplete(event: WireEvent): boolean {
  const fields = Object.hasOwn(EVENT_FIELDS, event.kind) ? EVENT_FIELDS[event.kind] : undefined;
  return fields?.every((path) => fieldOf(event, path) !== undefined) ?? false;
}

function fieldOf(event: WireEvent, path: string): unknown {
  let value: unknown = event;
  for (const name of path.split('.')) {
    if (!isObject(value)) return undefined;
    value = value[name];
  }
  return value;
}

/** The data of one message, or null when it is none. */
export function readMessage(text: string): WireMessage | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Not JSON: the reader takes it as a broken stream and begins anew.
    return null;
  }
  if (!isObject(value) || typeof value.index !== 'number') return null;
  const { index } = value;
  if (isObject(value.event) && typeof value.event.kind === 'string') {
    return { index, event: value.event as unknown as WireEvent };
  }
  const state = readState(value.state);
  return state === null ? null : { index, state };
}
