/** Everything that can change the state, in the past tense: decisions of the master and facts that nodes report. */
import type { InstanceId, MetaInstanceId, NodeId, TaskId } from '../shared/ids.js';
import type { ModelShape } from './placement/types.js';
import type {
  InstanceFailure,
  InstanceRecord,
  MetaInstanceWish,
  NodeFact,
  NodeStatus,
  PlacementProblem,
  RunnerFact,
  TaskRecord,
  TaskStatus,
} from './state.js';

export type ControlEvent =
  | { readonly kind: 'MasterElected'; readonly nodeId: NodeId; readonly term: number }
  | { readonly kind: 'NodeJoined'; readonly node: NodeFact }
  | {
      readonly kind: 'NodeStatusChanged';
      readonly nodeId: NodeId;
      readonly status: NodeStatus;
      /** In ms since the epoch. */
      readonly at: number;
    }
  | { readonly kind: 'NodeForgotten'; readonly nodeId: NodeId }
  | { readonly kind: 'InstanceCreated'; readonly instance: InstanceRecord }
  /** @param avoid the node at which the instance failed for good */
  | { readonly kind: 'InstanceDeleted'; readonly instanceId: InstanceId; readonly avoid?: NodeId }
  /** One attempt of an instance failed; counted once, whoever saw it. */
  | {
      readonly kind: 'InstanceFailed';
      readonly instanceId: InstanceId;
      readonly attempt: number;
      readonly failure: InstanceFailure;
      /** When the next attempt is due, in ms since the epoch; null when there is none. */
      readonly nextAttemptAt: number | null;
    }
  /** The runners of an instance are started anew, as this attempt. */
  | { readonly kind: 'InstanceRetrying'; readonly instanceId: InstanceId; readonly attempt: number }
  | {
      readonly kind: 'MetaInstanceCreated';
      readonly metaInstance: MetaInstanceWish;
      readonly shape: ModelShape;
      readonly createdAt: number;
    }
  | { readonly kind: 'MetaInstanceDeleted'; readonly metaInstanceId: MetaInstanceId }
  /** The user asked for another try. */
  | { readonly kind: 'MetaInstanceRetried'; readonly metaInstanceId: MetaInstanceId }
  | {
      readonly kind: 'PlacementRefused';
      readonly metaInstanceId: MetaInstanceId;
      readonly problem: PlacementProblem;
      readonly nextAttemptAt: number;
    }
  /** It is not tried any more until the user acts. */
  | { readonly kind: 'MetaInstanceFailed'; readonly metaInstanceId: MetaInstanceId }
  /** Its instance became ready, or (null) is no longer. */
  | {
      readonly kind: 'MetaInstanceServed';
      readonly metaInstanceId: MetaInstanceId;
      readonly since: number | null;
    }
  /** It came to have more instances than one, on nodes that are there, or (null) has not any more. */
  | {
      readonly kind: 'MetaInstanceSurplus';
      readonly metaInstanceId: MetaInstanceId;
      readonly since: number | null;
    }
  /** It served for a healthy period: what failed before is forgiven. */
  | { readonly kind: 'MetaInstanceRecovered'; readonly metaInstanceId: MetaInstanceId }
  | { readonly kind: 'RunnerStatusChanged'; readonly runner: RunnerFact }
  | { readonly kind: 'TaskAssigned'; readonly task: TaskRecord }
  | {
      readonly kind: 'TaskFinished';
      readonly taskId: TaskId;
      readonly instanceId: InstanceId;
      readonly status: Exclude<TaskStatus, 'running'>;
    };
