/** The replicated state: what has been decided, and the facts that decisions rest on. Changed by `apply` alone. */
import type { Fault } from '../shared/errors.js';
import type {
  CommandId,
  InstanceId,
  MetaInstanceId,
  ModelId,
  NodeId,
  RunnerId,
  TaskId,
} from '../shared/ids.js';
import type { ModelShape, Sharding, Transport } from './placement/types.js';
import type { RunnerStatus } from './runnerLife.js';

export type NodeStatus = 'alive' | 'suspect' | 'dead';

/** What a node says of itself. */
export interface NodeFact {
  readonly nodeId: NodeId;
  readonly name: string;
  /** Counts the starts of the node: what belongs to an earlier one is gone. */
  readonly incarnation: number;
  /** `HOST:PORT` where its peers reach it. */
  readonly addresses: readonly string[];
  /** What it offers to models; 0 for a node that runs none. */
  readonly memoryBytes: number;
  /** It is about to stop: what runs there may end, and nothing new goes there. */
  readonly isDraining: boolean;
  /** Models whose files it holds. */
  readonly models: readonly ModelId[];
}

export interface NodeRecord extends NodeFact {
  /** As the master judges it. */
  readonly status: NodeStatus;
  /** When the status was judged so, in ms since the epoch. */
  readonly statusSince: number;
}

export interface ShardRecord {
  readonly rank: number;
  readonly worldSize: number;
  readonly nodeId: NodeId;
  readonly runnerId: RunnerId;
  readonly startLayer: number;
  readonly endLayer: number;
  readonly memoryBytes: number;
}

/** That an instance failed, once for each attempt. */
export interface InstanceFailure {
  readonly at: number;
  /** The node at fault; null when none is. */
  readonly nodeId: NodeId | null;
  readonly message: string;
  /** A machine or a cable failed under a model that served: that is no fault of the model, and does not count against it. */
  readonly isExcused?: boolean | undefined;
}

export interface InstanceRecord {
  readonly instanceId: InstanceId;
  /** Null for an instance that nobody declared: it is not made again. */
  readonly metaInstanceId: MetaInstanceId | null;
  readonly modelId: ModelId;
  readonly sharding: Sharding;
  readonly transport: Transport;
  /** Counts from 1: how often its runners were started anew. */
  readonly attempt: number;
  /** Why this attempt failed; null while it has not. Only an instance of a MetaInstance is judged so. */
  readonly failure: InstanceFailure | null;
  /** How many of its attempts, up to this one, have failed and were excused. */
  readonly excused: number;
  /** Context of one sequence in tokens, and sequences side by side, as they were placed. */
  readonly contextLength: number;
  readonly maxSequences: number;
  /** KV cells that all sequences share. */
  readonly cacheCells: number;
  readonly shards: readonly ShardRecord[];
}

/** Why a runner ended without being asked to. */
export interface RunnerFailure extends Fault {
  readonly phase: RunnerStatus;
  readonly signal?: string;
  readonly exitCode?: number;
  readonly stderrTail: readonly string[];
  readonly ranForMs: number;
}

/** What the node of a runner says of it. */
export interface RunnerFact {
  readonly runnerId: RunnerId;
  /** Start of the node, and count of its reports since then: a later report wins, whatever the order of arrival. */
  readonly incarnation: number;
  readonly sequence: number;
  readonly status: RunnerStatus;
  readonly pid: number | null;
  readonly restarts: number;
  /** When a failed runner is started again, in ms since the epoch; null when it is not. */
  readonly restartAt: number | null;
  /** The last failure; kept while the runner comes back, so that people see why it was away. */
  readonly error: RunnerFailure | null;
}

export interface RunnerRecord extends RunnerFact {
  readonly instanceId: InstanceId;
  readonly nodeId: NodeId;
  readonly rank: number;
}

export type TaskStatus = 'running' | 'complete' | 'failed' | 'cancelled';

export interface TaskRecord {
  readonly taskId: TaskId;
  readonly commandId: CommandId;
  readonly instanceId: InstanceId;
  readonly kind: 'generation';
  readonly status: TaskStatus;
  /** The node that the client talks to, in that life of it: it owns the task and says when it ends. */
  readonly apiNodeId: NodeId;
  readonly apiIncarnation: number;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

export interface MetaInstanceWish {
  readonly metaInstanceId: MetaInstanceId;
  readonly modelId: ModelId;
  readonly sharding: Sharding;
  readonly transport: Transport;
  readonly minNodes: number | null;
  readonly nodeIds: readonly NodeId[] | null;
  readonly requireRdma: boolean;
  readonly contextTokens: number | null;
  readonly sequences: number | null;
}

export interface PlacementProblem {
  readonly at: number;
  readonly message: string;
  /** Refusals in a row. */
  readonly count: number;
  readonly nodes: readonly { readonly nodeId: NodeId; readonly name: string; readonly reason: string }[];
  /** What the refusal rests on: when it changes, another try is worthwhile at once. */
  readonly circumstances: string;
}

/** What a user wants to run. Only the user takes it back. */
export interface MetaInstanceRecord extends MetaInstanceWish {
  readonly createdAt: number;
  /** Instances that were made for it: numbers the next one. */
  readonly placements: number;
  /** Failures since it last served for a healthy period. */
  readonly consecutiveFailures: number;
  /** The newest failures, oldest first. */
  readonly errors: readonly InstanceFailure[];
  readonly placementProblem: PlacementProblem | null;
  /** When the next attempt is due, and when that was said, both in ms since the epoch. */
  readonly nextAttempt: { readonly at: number; readonly saidAt: number } | null;
  /** It is not tried any more until the user acts. */
  readonly hasFailed: boolean;
  /** Nodes at which its instances failed for good. */
  readonly avoidedNodes: readonly NodeId[];
  /** Since when its instance is ready; null while it is not. */
  readonly servedSince: number | null;
  /** Since when it has had more than one instance on nodes that are there; null while it has not. */
  readonly surplusSince: number | null;
}

export interface ClusterState {
  /** Number of events applied. */
  readonly index: number;
  readonly term: number;
  readonly masterNodeId: NodeId | null;
  readonly nodes: ReadonlyMap<NodeId, NodeRecord>;
  readonly instances: ReadonlyMap<InstanceId, InstanceRecord>;
  readonly runners: ReadonlyMap<RunnerId, RunnerRecord>;
  /** Running tasks of each instance; an instance without any has no entry. */
  readonly tasks: ReadonlyMap<InstanceId, ReadonlyMap<TaskId, TaskRecord>>;
  /** The newest tasks that ended, oldest first. */
  readonly finishedTasks: readonly TaskRecord[];
  /** The newest instances that were deleted, oldest first: a late word about one does not bring it back. */
  readonly deletedInstances: readonly InstanceId[];
  readonly metaInstances: ReadonlyMap<MetaInstanceId, MetaInstanceRecord>;
  /** The newest MetaInstances that users took back, oldest first. */
  readonly deletedMetaInstances: readonly MetaInstanceId[];
  /** What placement has to know of the models that are wished for. */
  readonly modelShapes: ReadonlyMap<ModelId, ModelShape>;
}

export const EMPTY_STATE: ClusterState = {
  index: 0,
  term: 0,
  masterNodeId: null,
  nodes: new Map(),
  instances: new Map(),
  runners: new Map(),
  tasks: new Map(),
  finishedTasks: [],
  deletedInstances: [],
  metaInstances: new Map(),
  deletedMetaInstances: [],
  modelShapes: new Map(),
};
