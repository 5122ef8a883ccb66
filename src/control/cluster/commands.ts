/**
 * What a node asks of the master, and the master's decisions: `(state, command, now) → events and an answer, or a
 * fault`. Ids are chosen by whoever asks, so that a command that is sent again, also to the next master, is the same
 * command: it finds its work done and gets the same answer.
 */
import type { Fault } from '../../shared/errors.js';
import type { CommandId, InstanceId, ModelId, NodeId, RunnerId, TaskId } from '../../shared/ids.js';
import type { ControlEvent } from '../events.js';
import { findTask } from '../instances.js';
import { chooseInstance, firstShard } from '../routing.js';
import type { ClusterState, InstanceRecord } from '../state.js';

export interface AssignTask {
  readonly kind: 'AssignTask';
  readonly taskId: TaskId;
  readonly commandId: CommandId;
  readonly modelId: ModelId;
  readonly apiNodeId: NodeId;
  readonly apiIncarnation: number;
  /** Nodes that the asking node has no link to. */
  readonly unreachable: readonly NodeId[];
}

export type ClusterCommand =
  | AssignTask
  | { readonly kind: 'CreateInstance'; readonly instance: InstanceRecord }
  | { readonly kind: 'DeleteInstance'; readonly instanceId: InstanceId }
  | { readonly kind: 'ForgetNode'; readonly nodeId: NodeId };

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

/** @param now milliseconds since the epoch */
export function decide(state: ClusterState, command: ClusterCommand, now: number): Decision {
  switch (command.kind) {
    case 'AssignTask':
      return assignTask(state, command, now);
    case 'CreateInstance':
      return createInstance(state, command.instance);
    case 'DeleteInstance':
      return deleteInstance(state, command.instanceId);
    case 'ForgetNode':
      return forgetNode(state, command.nodeId);
  }
}

function assignTask(state: ClusterState, command: AssignTask, now: number): Decision {
  const known = findTask(state, command.taskId);
  if (known !== null) return assignedBefore(state, known.instanceId, command);
  const choice = chooseInstance(
    state,
    { modelId: command.modelId, unreachable: new Set(command.unreachable) },
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

function createInstance(state: ClusterState, instance: InstanceRecord): Decision {
  if (state.instances.has(instance.instanceId)) return { events: [], answer: DONE };
  if (state.deletedInstances.includes(instance.instanceId)) {
    return {
      fault: { code: 'invalid_request', message: `instance ${instance.instanceId} was deleted already` },
    };
  }
  return { events: [{ kind: 'InstanceCreated', instance }], answer: DONE };
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
