/**
 * What a node asks of the master, and the master's decisions: `(state, command, now) → events and an answer, or a
 * fault`. Ids are chosen by whoever asks, so that a command that is sent again, also to the next master, is the same
 * command: it finds its work done and gets the same answer.
 */

import { formatBytes } from '../../shared/bytes.js';
import type { Fault } from '../../shared/errors.js';
import type {
  CommandId,
  InstanceId,
  MetaInstanceId,
  ModelId,
  NodeId,
  RunnerId,
  TaskId,
} from '../../shared/ids.js';
import { LIMITS } from '../../shared/limits.js';
import type { ControlEvent } from '../events.js';
import { findTask } from '../instances.js';
import type { Measurements } from '../measurements.js';
import { wishOf } from '../metaInstanceView.js';
import { placementFault } from '../placement/explainRefusal.js';
import { takenMemory } from '../placement/takenMemory.js';
import type { ModelShape } from '../placement/types.js';
import { lostLinkOf } from '../reconcile/attemptFailure.js';
import type { LostLink } from '../reconcile/contract.js';
import { placeWish } from '../reconcile/placing.js';
import { chooseInstance, firstShard } from '../routing.js';
import type { ClusterState, InstanceRecord, MetaInstanceWish } from '../state.js';

export interface AssignTask {
  readonly kind: 'AssignTask';
  readonly taskId: TaskId;
  readonly commandId: CommandId;
  readonly modelId: ModelId;
  readonly apiNodeId: NodeId;
  readonly apiIncarnation: number;
  /** Nodes that the asking node has no link to. */
  readonly unreachable: readonly NodeId[];
  /** The instance that the request has just lost, while it shall not go back there. */
  readonly avoid: InstanceId | null;
  /** Context that the instance must have. @default any */
  readonly leastContext?: number | undefined;
}

export type ClusterCommand =
  | AssignTask
  | { readonly kind: 'CreateInstance'; readonly instance: InstanceRecord }
  | { readonly kind: 'DeleteInstance'; readonly instanceId: InstanceId }
  | { readonly kind: 'ForgetNode'; readonly nodeId: NodeId }
  | {
      readonly kind: 'CreateMetaInstance';
      readonly metaInstance: MetaInstanceWish;
      readonly shape: ModelShape;
    }
  | { readonly kind: 'DeleteMetaInstance'; readonly metaInstanceId: MetaInstanceId }
  | { readonly kind: 'RetryMetaInstance'; readonly metaInstanceId: MetaInstanceId };

/** What decisions rest on beside the state. */
export interface Circumstances extends Measurements {
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly lostLinks: readonly LostLink[];
}

/** Where a task runs: the stream goes to this runner on this node. */
export interface Assignment {
  readonly kind: 'Assignment';
  readonly taskId: TaskId;
  readonly instanceId: InstanceId;
  readonly nodeId: NodeId;
  readonly runnerId: RunnerId;
}

export type CommandAnswer = Assignment | { readonly kind: 'Done' };

export type Decision =
  | { readonly events: readonly ControlEvent[]; readonly answer: CommandAnswer }
  | { readonly fault: Fault };

const DONE = { kind: 'Done' } as const;

/** Must the command be safe from the loss of the master before it is answered? A task is not worth the wait. */
export function isDurable(command: ClusterCommand): boolean {
  return command.kind !== 'AssignTask';
}

export function decide(state: ClusterState, command: ClusterCommand, given: Circumstances): Decision {
  switch (command.kind) {
    case 'AssignTask':
      return assignTask(state, command, given.now);
    case 'CreateInstance':
      return createInstance(state, command.instance, given);
    case 'DeleteInstance':
      return deleteInstance(state, command.instanceId);
    case 'ForgetNode':
      return forgetNode(state, command.nodeId);
    case 'CreateMetaInstance':
      return createMetaInstance(state, command, given);
    case 'DeleteMetaInstance':
      return deleteMetaInstance(state, command.metaInstanceId);
    case 'RetryMetaInstance':
      return retryMetaInstance(state, command.metaInstanceId);
  }
}

/** What can never fit is refused with the reasons; what may fit later is taken and waits (R34). */
function createMetaInstance(
  state: ClusterState,
  { metaInstance, shape }: Extract<ClusterCommand, { kind: 'CreateMetaInstance' }>,
  { now, links, speeds }: Circumstances,
): Decision {
  const { metaInstanceId } = metaInstance;
  const made = state.metaInstances.get(metaInstanceId);
  if (made !== undefined) return isSameWish(made, metaInstance) ? { events: [], answer: DONE } : REUSED;
  if (state.deletedMetaInstances.includes(metaInstanceId)) {
    return {
      fault: { code: 'invalid_request', message: `MetaInstance ${metaInstanceId} was deleted already` },
    };
  }
  if (state.metaInstances.size >= LIMITS.metaInstances) {
    const message = `${LIMITS.metaInstances} MetaInstances are declared already; delete one first`;
    return { fault: { code: 'queue_full', message } };
  }
  const placement = placeWish({ state, links, speeds }, metaInstance, shape);
  if (placement.kind === 'refused' && !placement.canFitLater) return { fault: placementFault(placement) };
  return { events: [{ kind: 'MetaInstanceCreated', metaInstance, shape, createdAt: now }], answer: DONE };
}

/** The id may be that of a client's key, which it may have used for something else. */
const REUSED: Decision = {
  fault: {
    code: 'idempotency_key_reused',
    message: 'this key was sent with another request before, and what that asked for is there',
  },
};

function isSameWish(one: MetaInstanceWish, other: MetaInstanceWish): boolean {
  return JSON.stringify(wishOf(one)) === JSON.stringify(wishOf(other));
}

function deleteMetaInstance(state: ClusterState, metaInstanceId: MetaInstanceId): Decision {
  if (state.metaInstances.has(metaInstanceId)) {
    return { events: [{ kind: 'MetaInstanceDeleted', metaInstanceId }], answer: DONE };
  }
  if (state.deletedMetaInstances.includes(metaInstanceId)) return { events: [], answer: DONE };
  return { fault: { code: 'not_found', message: `there is no MetaInstance ${metaInstanceId}` } };
}

function retryMetaInstance(state: ClusterState, metaInstanceId: MetaInstanceId): Decision {
  if (state.metaInstances.has(metaInstanceId)) {
    return { events: [{ kind: 'MetaInstanceRetried', metaInstanceId }], answer: DONE };
  }
  return { fault: { code: 'not_found', message: `there is no MetaInstance ${metaInstanceId}` } };
}

function assignTask(state: ClusterState, command: AssignTask, now: number): Decision {
  const known = findTask(state, command.taskId);
  if (known !== null) return assignedBefore(state, known.instanceId, command);
  const choice = chooseInstance(
    state,
    {
      modelId: command.modelId,
      unreachable: new Set(command.unreachable),
      avoid: command.avoid,
      leastContext: command.leastContext ?? 0,
    },
    now,
  );
  if ('fault' in choice) return choice;
  const { instanceId } = choice.instance;
  const { taskId, commandId, apiNodeId, apiIncarnation } = command;
  const task = { taskId, commandId, instanceId, apiNodeId, apiIncarnation, createdAt: now };
  return {
    events: [{ kind: 'TaskAssigned', task: { ...task, kind: 'generation', status: 'running' } }],
    answer: assignment(taskId, choice.instance),
  };
}

function assignedBefore(state: ClusterState, instanceId: InstanceId, { taskId }: AssignTask): Decision {
  const instance = state.instances.get(instanceId);
  if (instance !== undefined) return { events: [], answer: assignment(taskId, instance) };
  return {
    fault: { code: 'node_lost', message: `instance ${instanceId} was deleted before the request reached it` },
  };
}

function assignment(taskId: TaskId, instance: InstanceRecord): Assignment {
  const { nodeId, runnerId } = firstShard(instance);
  return { kind: 'Assignment', taskId, instanceId: instance.instanceId, nodeId, runnerId };
}

function createInstance(state: ClusterState, instance: InstanceRecord, given: Circumstances): Decision {
  const made = state.instances.get(instance.instanceId);
  // Where it is placed may differ: whoever repeats the request placed it on a later state.
  if (made !== undefined) return made.modelId === instance.modelId ? { events: [], answer: DONE } : REUSED;
  if (state.deletedInstances.includes(instance.instanceId)) {
    return {
      fault: { code: 'invalid_request', message: `instance ${instance.instanceId} was deleted already` },
    };
  }
  const problem = findUnlinked(state, instance, given) ?? findOverfull(state, instance);
  if (problem !== null) return { fault: { code: 'placement_impossible', message: problem } };
  return { events: [{ kind: 'InstanceCreated', instance }], answer: DONE };
}

/** Why its ranks could not meet where they shall go; null when they can. One that is whole needs nobody. */
function findUnlinked(
  state: ClusterState,
  instance: InstanceRecord,
  given: Pick<Circumstances, 'lostLinks'>,
): string | null {
  if (instance.shards.length === 1) return null;
  const name = (nodeId: NodeId) => state.nodes.get(nodeId)?.name ?? nodeId;
  const away = instance.shards.find(({ nodeId }) => {
    const node = state.nodes.get(nodeId);
    return node !== undefined && (node.status !== 'alive' || node.isDraining);
  });
  if (away !== undefined) return `Node ${name(away.nodeId)} is not there, or is about to stop.`;
  const lost = lostLinkOf(given, instance, 0);
  if (lost === null) return null;
  const [a, b] = lost.nodes.map(name);
  return `Nodes ${a} and ${b} have no link with each other, which ${instance.transport} needs.`;
}

/** Why the instance does not fit where it shall go; null when it does. It may have been placed on an older state. */
function findOverfull(state: ClusterState, instance: InstanceRecord): string | null {
  const taken = takenMemory([...state.instances.values(), instance]);
  for (const { nodeId } of instance.shards) {
    const node = state.nodes.get(nodeId);
    if (node === undefined) return `There is no node ${nodeId}.`;
    const neededBytes = taken.get(nodeId) ?? 0;
    if (neededBytes > node.memoryBytes) {
      return (
        `Node ${node.name} offers ${formatBytes(node.memoryBytes)} of memory, and with this instance ` +
        `${formatBytes(neededBytes)} of it would be taken.`
      );
    }
  }
  return null;
}

function deleteInstance(state: ClusterState, instanceId: InstanceId): Decision {
  if (state.instances.has(instanceId)) {
    return { events: [{ kind: 'InstanceDeleted', instanceId }], answer: DONE };
  }
  if (state.deletedInstances.includes(instanceId)) return { events: [], answer: DONE };
  return { fault: { code: 'not_found', message: `there is no instance ${instanceId}` } };
}

function forgetNode(state: ClusterState, nodeId: NodeId): Decision {
  const node = state.nodes.get(nodeId);
  if (node === undefined) return { events: [], answer: DONE };
  if (node.status === 'dead') return { events: [{ kind: 'NodeForgotten', nodeId }], answer: DONE };
  return {
    fault: {
      code: 'invalid_request',
      message: `node ${node.name} (${nodeId}) is ${node.status}; only a dead node can be forgotten`,
    },
  };
}
