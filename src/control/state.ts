/** The replicated state: what has been decided, and the facts that decisions rest on. Changed by `apply` alone. */
import type { Fault } from '../shared/errors.js';
import type { CommandId, InstanceId, ModelId, NodeId, RunnerId, TaskId } from '../shared/ids.js';
import type { RunnerStatus } from './runnerLife.js';

export interface NodeRecord {
  readonly nodeId: NodeId;
  readonly name: string;
  readonly status: 'alive' | 'suspect' | 'dead';
  readonly addresses: readonly string[];
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

export interface InstanceRecord {
  readonly instanceId: InstanceId;
  readonly metaInstanceId: null;
  readonly modelId: ModelId;
  readonly sharding: 'Pipeline';
  readonly transport: 'Ring';
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

export interface RunnerRecord {
  readonly runnerId: RunnerId;
  readonly instanceId: InstanceId;
  readonly nodeId: NodeId;
  readonly rank: number;
  readonly pid: number | null;
  readonly status: RunnerStatus;
  readonly restarts: number;
  /** When a failed runner is started again, in ms since the epoch; null when it is not. */
  readonly restartAt: number | null;
  /** The last failure; kept while the runner comes back, so that people see why it was away. */
  readonly error: RunnerFailure | null;
}

export type TaskStatus = 'running' | 'complete' | 'failed' | 'cancelled';

export interface TaskRecord {
  readonly taskId: TaskId;
  readonly commandId: CommandId;
  readonly instanceId: InstanceId;
  readonly kind: 'generation';
  readonly status: TaskStatus;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

export interface ClusterState {
  /** Number of events applied. */
  readonly index: number;
  readonly term: number;
  readonly masterNodeId: NodeId | null;
  readonly nodes: ReadonlyMap<NodeId, NodeRecord>;
  readonly instances: ReadonlyMap<InstanceId, InstanceRecord>;
  readonly runners: ReadonlyMap<RunnerId, RunnerRecord>;
  readonly tasks: ReadonlyMap<TaskId, TaskRecord>;
}

export const EMPTY_STATE: ClusterState = {
  index: 0,
  term: 0,
  masterNodeId: null,
  nodes: new Map(),
  instances: new Map(),
  runners: new Map(),
  tasks: new Map(),
};
