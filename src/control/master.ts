/** The master's decisions: `(state, command, now) → events and an answer, or a fault`. */
import type { Fault } from '../shared/errors.js';
import type { CommandId, ModelId, NodeId, RunnerId, TaskId } from '../shared/ids.js';
import type { ControlEvent } from './events.js';
import { chooseInstance } from './routing.js';
import type { ClusterState, InstanceRecord } from './state.js';

export interface AssignTask {
  readonly taskId: TaskId;
  readonly commandId: CommandId;
  readonly modelId: ModelId;
}

export interface Assignment {
  readonly taskId: TaskId;
  readonly instance: InstanceRecord;
  /** Where the first rank runs: requests go there. */
  readonly nodeId: NodeId;
  readonly runnerId: RunnerId;
}

export type Decision<Answer> =
  | { readonly events: readonly ControlEvent[]; readonly answer: Answer }
  | { readonly fault: Fault };

export function assignTask(state: ClusterState, command: AssignTask, now: number): Decision<Assignment> {
  const choice = chooseInstance(state, command.modelId, now);
  if ('fault' in choice) return choice;
  const { instance } = choice;
  const first = instance.shards.find((shard) => shard.rank === 0);
  if (first === undefined) {
    return { fault: { code: 'internal_error', message: `instance ${instance.instanceId} has no rank 0` } };
  }
  return {
    events: [
      {
        kind: 'TaskAssigned',
        task: {
          taskId: command.taskId,
          commandId: command.commandId,
          instanceId: instance.instanceId,
          kind: 'generation',
          status: 'running',
          createdAt: now,
        },
      },
    ],
    answer: { taskId: command.taskId, instance, nodeId: first.nodeId, runnerId: first.runnerId },
  };
}
