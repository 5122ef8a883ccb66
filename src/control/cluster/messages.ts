/** What nodes say to each other about the cluster. Any of it may be lost, repeated, late or out of order. */
import type { Fault } from '../../shared/errors.js';
import type { InstanceId, MetaInstanceId, NodeId, TaskId } from '../../shared/ids.js';
import type { ControlEvent } from '../events.js';
import type { ModelShape } from '../placement/types.js';
import type {
  InstanceRecord,
  MetaInstanceWish,
  NodeFact,
  RunnerFact,
  TaskRecord,
  TaskStatus,
} from '../state.js';
import type { ClusterCommand, CommandAnswer } from './commands.js';
import type { Epoch, Position } from './position.js';
import type { Snapshot } from './snapshot.js';

export type Role = 'joining' | 'follower' | 'electing' | 'master' | 'leaving';

/** That a node rules: what two masters compare when they meet. */
export interface Claim {
  readonly epoch: Epoch;
  /** How many follow it, itself among them. */
  readonly members: number;
  /** When it began, on its own wall clock in ms since the epoch; a renewal of the reign does not change it. */
  readonly since: number;
}

/** Said to every linked peer four times a second, and at once when something in it changes. */
export interface Pulse {
  readonly kind: 'Pulse';
  /** Which life of the sender, and a count in it: an older pulse that comes late says nothing. */
  readonly incarnation: number;
  readonly counter: number;
  /** The newest count that the sender has from the receiver; it stands still when only one direction works. */
  readonly echo: number;
  readonly role: Role;
  /** The epoch that the sender rules or follows. */
  readonly following: Epoch | null;
  /** Reigns that the sender hears of from the masters themselves, its own among them. */
  readonly claims: readonly Claim[];
  readonly position: Position;
  /** Nodes of the state that the sender has no working link to. */
  readonly missing: readonly NodeId[];
}

/** What a node owns, and only it may say: sent whole when it joins, in parts when the state says otherwise. */
export interface Facts {
  readonly node: NodeFact | null;
  /** Instances that the node knows, wherever they are, for a master that does not. */
  readonly instances: readonly InstanceRecord[];
  /** Instances that the node knows to be deleted. */
  readonly deletedInstances: readonly InstanceId[];
  /** What users want to run, and what they took back, as the node knows it. */
  readonly metaInstances: readonly WishFact[];
  readonly deletedMetaInstances: readonly MetaInstanceId[];
  readonly runners: readonly RunnerFact[];
  readonly openTasks: readonly TaskRecord[];
  readonly finishedTasks: readonly FinishedTask[];
}

/** A wish with what placement has to know of its model. */
export interface WishFact {
  readonly metaInstance: MetaInstanceWish;
  readonly shape: ModelShape;
  readonly createdAt: number;
}

export interface FinishedTask {
  readonly taskId: TaskId;
  readonly instanceId: InstanceId;
  readonly status: Exclude<TaskStatus, 'running'>;
}

export interface Entry {
  readonly index: number;
  readonly epoch: Epoch;
  readonly event: ControlEvent;
}

export type PeerMessage =
  | Pulse
  /** To a master: I follow this epoch, my log ends here, and these are my facts. Repeated until the log comes. */
  | { readonly kind: 'Join'; readonly epoch: Epoch; readonly position: Position; readonly facts: Facts }
  /** To the master: my log ends here, and I have heard of more. */
  | { readonly kind: 'Need'; readonly epoch: Epoch; readonly position: Position }
  | { readonly kind: 'Report'; readonly facts: Facts }
  | { readonly kind: 'Ack'; readonly position: Position }
  | {
      readonly kind: 'Append';
      readonly epoch: Epoch;
      readonly previous: Position;
      readonly entries: readonly Entry[];
      /** An answer waits until this has arrived. */
      readonly acknowledge: boolean;
    }
  /**
   * The whole state, for a log that is not the beginning of the master's, or is too far behind. It takes the place of
   * the log that ends at `replaces` and of no other: what was in that one, the master has been told.
   */
  | {
      readonly kind: 'Install';
      readonly epoch: Epoch;
      readonly replaces: Position;
      readonly snapshot: Snapshot;
    }
  | { readonly kind: 'Command'; readonly key: string; readonly command: ClusterCommand }
  | {
      readonly kind: 'Answer';
      readonly key: string;
      readonly answer: CommandAnswer | { readonly fault: Fault };
    }
  /** For a node that the receiver has a link to and the sender has not. */
  | {
      readonly kind: 'Relay';
      readonly from: NodeId;
      readonly to: NodeId;
      readonly message: PeerMessage;
    };

export type Received<Kind extends PeerMessage['kind']> = Extract<PeerMessage, { readonly kind: Kind }>;
