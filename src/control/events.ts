/** Everything that can change the state, in the past tense: decisions of the master and facts that nodes report. */
import type { InstanceId, NodeId, TaskId } from '../shared/ids.js';
import type { InstanceRecord, NodeFact, NodeStatus, RunnerFact, TaskRecord, TaskStatus } from './state.js';

export type ControlEvent =
  | { readonly kind: 'MasterElected'; readonly nodeId: NodeId; readonly term: number }
  | { readonly kind: 'NodeJoined'; readonly node: NodeFact }
  | { readonly kind: 'NodeStatusChanged'; readonly nodeId: NodeId; readonly status: NodeStatus }
  | { readonly kind: 'NodeForgotten'; readonly nodeId: NodeId }
  | { readonly kind: 'InstanceCreated'; readonly instance: InstanceRecord }
  | { readonly kind: 'InstanceDeleted'; readonly instanceId: InstanceId }
  | { readonly kind: 'RunnerStatusChanged'; readonly runner: RunnerFact }
  | { readonly kind: 'TaskAssigned'; readonly task: TaskRecord }
  | {
      readonly kind: 'TaskFinished';
      readonly taskId: TaskId;
      readonly instanceId: InstanceId;
      readonly status: Exclude<TaskStatus, 'running'>;
    };
