/** Everything that can change the state, in the past tense: decisions of the master and facts that nodes report. */
import type { InstanceId, NodeId, RunnerId, TaskId } from '../shared/ids.js';
import type { RunnerStatus } from './runnerLife.js';
import type { InstanceRecord, NodeRecord, RunnerFailure, TaskRecord, TaskStatus } from './state.js';

export type ControlEvent =
  | { readonly kind: 'MasterElected'; readonly nodeId: NodeId; readonly term: number }
  | { readonly kind: 'NodeJoined'; readonly node: NodeRecord }
  | { readonly kind: 'InstanceCreated'; readonly instance: InstanceRecord }
  | { readonly kind: 'InstanceDeleted'; readonly instanceId: InstanceId }
  | {
      readonly kind: 'RunnerStatusChanged';
      readonly runnerId: RunnerId;
      readonly status: RunnerStatus;
      readonly pid: number | null;
      readonly restarts: number;
      readonly restartAt: number | null;
      /** Absent: the last failure stays. */
      readonly error?: RunnerFailure;
    }
  | { readonly kind: 'TaskAssigned'; readonly task: TaskRecord }
  | {
      readonly kind: 'TaskFinished';
      readonly taskId: TaskId;
      readonly status: Exclude<TaskStatus, 'running'>;
    };
