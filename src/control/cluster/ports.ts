/** What goes into the core of a node and what comes out of it. The shell carries the outputs out in their order. */
import type { Fault } from '../../shared/errors.js';
import type { CommandId, ModelId, NodeId, RunnerId, TaskId } from '../../shared/ids.js';
import type { Measurements } from '../measurements.js';
import type { NodeFact, NodeStatus, RunnerFact } from '../state.js';
import type { Assignment, ClusterCommand, CommandAnswer } from './commands.js';
import type { Entry, PeerMessage, Role } from './messages.js';
import type { TaskEnd } from './openTasks.js';
import type { Epoch } from './position.js';
import type { Snapshot } from './snapshot.js';

/** Two clocks: the monotonic one times everything, the wall clock only dates what people read. */
export interface Instant {
  readonly monotonicMs: number;
  /** Milliseconds since the epoch. */
  readonly wallMs: number;
}

/** A runner's status without the count of the report, which the core keeps. */
export type RunnerReport = Omit<RunnerFact, 'incarnation' | 'sequence'>;

export type NodeInput =
  /** To be given every `TIMES.tickMs`. */
  | { readonly kind: 'Tick' }
  | { readonly kind: 'LinkOpened'; readonly peer: NodeId; readonly incarnation: number }
  | { readonly kind: 'LinkClosed'; readonly peer: NodeId }
  | { readonly kind: 'Received'; readonly from: NodeId; readonly message: PeerMessage }
  | { readonly kind: 'NodeChanged'; readonly node: NodeFact }
  /** The newest values of all nodes, in the place of those before. */
  | { readonly kind: 'Measured'; readonly measured: Measurements }
  | { readonly kind: 'RunnerChanged'; readonly runner: RunnerReport }
  | { readonly kind: 'RunnerGone'; readonly runnerId: RunnerId }
  /** Answered with one `CommandEnded` of the same key. */
  | {
      readonly kind: 'CommandIssued';
      readonly key: string;
      readonly command: ClusterCommand;
      readonly timeoutMs: number;
    }
  /**
   * Answered with `TaskPlaced` if it comes to that, and with `TaskMoving` and another `TaskPlaced` for each place that
   * it loses; ended by one `TaskEnded`, or by `TaskStreamEnded`.
   */
  | {
      readonly kind: 'TaskArrived';
      readonly taskId: TaskId;
      readonly commandId: CommandId;
      readonly modelId: ModelId;
      readonly deadlineMs: number;
      /** It may wait so long for a place where nothing takes it now, at most `TIMES.placeWaitMs`; 0 = not at all. */
      readonly placeWaitMs: number;
    }
  /** The stream of a task has come to its end. */
  | { readonly kind: 'TaskStreamEnded'; readonly taskId: TaskId; readonly status: TaskEnd }
  /** The stream from the place of this attempt broke off. */
  | {
      readonly kind: 'TaskStreamBroken';
      readonly taskId: TaskId;
      readonly attemptId: TaskId;
      readonly fault: Fault;
      /** Had the runner begun to compute it? */
      readonly isBegun: boolean;
    }
  /** Its deadline has passed: told by a clock that is finer than the ticks. */
  | { readonly kind: 'TaskExpired'; readonly taskId: TaskId }
  /** Whoever asked wants it to end. */
  | { readonly kind: 'TaskCancelled'; readonly taskId: TaskId; readonly fault: Fault }
  /** The log up to here is on the disk. */
  | { readonly kind: 'Flushed'; readonly index: number }
  /** The node is about to end: the others need not wait for it. */
  | { readonly kind: 'Leave' };

export type NodeOutput =
  | { readonly kind: 'Send'; readonly to: NodeId; readonly message: PeerMessage }
  /** Before anything that is sent after it: a term that was claimed is never claimed again. */
  | { readonly kind: 'StoreTerm'; readonly term: number }
  | { readonly kind: 'StoreEntry'; readonly entry: Entry }
  | { readonly kind: 'StoreSnapshot'; readonly snapshot: Snapshot }
  /** Write to the disk what is stored so far, and say so with `Flushed`. */
  | { readonly kind: 'Flush'; readonly index: number }
  /** The state has changed by this entry. */
  | { readonly kind: 'Applied'; readonly entry: Entry }
  /** The state is another one, from a master whose log ours is not the beginning of. */
  | { readonly kind: 'StateReplaced' }
  /** Also when a follower comes to have the log of its master, and so is up to date. */
  | { readonly kind: 'RoleChanged'; readonly role: Role; readonly epoch: Epoch | null; readonly why: string }
  | { readonly kind: 'PeerJudged'; readonly nodeId: NodeId; readonly status: NodeStatus }
  | {
      readonly kind: 'CommandEnded';
      readonly key: string;
      readonly answer: CommandAnswer | { readonly fault: Fault };
    }
  /** Its stream comes from there from now on. @param assignment with the attempt as its task */
  | { readonly kind: 'TaskPlaced'; readonly taskId: TaskId; readonly assignment: Assignment }
  /** It has lost its place by this fault: its stream, if there still is one, is to be left. */
  | { readonly kind: 'TaskMoving'; readonly taskId: TaskId; readonly fault: Fault }
  /** The core ends the task; the stream, if there is one, is to be closed with this fault. */
  | { readonly kind: 'TaskEnded'; readonly taskId: TaskId; readonly fault: Fault };
