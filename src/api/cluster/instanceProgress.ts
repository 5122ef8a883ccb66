/** How far the instances of a model are, as `/instance/await` tells it: a pure look at the state. */
import { z } from 'zod';
import {
  entryOf,
  type InstanceForm,
  instanceSchema,
  metaInstanceSchema,
  type StateForm,
} from './stateForm.js';

const instanceProgressSchema = z.object({
  instance_id: z.string(),
  status: z.string(),
  runners: z.array(
    z.object({
      runner_id: z.string(),
      node_id: z.string(),
      status: z.string().nullable().describe('Null until its node has told of it.'),
      progress: z.number().nullable().describe('Share of the loading that is done, from 0 to 1.'),
      error: z.object({ code: z.string(), message: z.string() }).nullable().describe('Its last failure.'),
    }),
  ),
});

type InstanceProgress = z.output<typeof instanceProgressSchema>;

const progressSchema = z.object({
  type: z.enum(['progress', 'timeout']),
  model_id: z.string(),
  not_ready_reason: z.string().nullable().describe('Why this node cannot tell yet; null when it can.'),
  instances: z.array(instanceProgressSchema),
  meta_instances: z
    .array(metaInstanceSchema)
    .describe('Those that want the model: whether it is tried again, and why it has no place.'),
});

const readySchema = z.object({
  type: z.literal('ready'),
  model_id: z.string(),
  instance_id: z.string(),
  instance: instanceSchema,
});

export const awaitMessageSchema = z.union([readySchema, progressSchema]).meta({ id: 'InstanceAwaitMessage' });

export type AwaitMessage = z.output<typeof awaitMessageSchema>;

/**
 * `ready` as soon as an instance of the model can serve, else `progress`.
 * @param notReadyReason null when the node's state is that of a living master; an older one proves nothing
 */
export function progressOf(
  { instances, runners, meta_instances: wishes }: StateForm,
  modelId: string,
  notReadyReason: string | null,
): AwaitMessage {
  const ofModel = Object.values(instances).filter((instance) => instance.model_id === modelId);
  const ready = ofModel.find(({ status }) => status === 'ready');
  if (ready !== undefined && notReadyReason === null) {
    return { type: 'ready', model_id: modelId, instance_id: ready.instance_id, instance: ready };
  }
  return {
    type: 'progress',
    model_id: modelId,
    not_ready_reason: notReadyReason,
    instances: ofModel.map((instance) => instanceProgress(instance, runners)),
    meta_instances: Object.values(wishes).filter((wish) => wish.model_id === modelId),
  };
}

function instanceProgress(instance: InstanceForm, runners: StateForm['runners']): InstanceProgress {
  return {
    instance_id: instance.instance_id,
    status: instance.status,
    runners: instance.shards.map(({ runner_id: runnerId, node_id: nodeId }) => {
      const runner = entryOf(runners, runnerId);
      const { code, message } = runner?.error ?? {};
      return {
        runner_id: runnerId,
        node_id: nodeId,
        status: runner?.status ?? null,
        progress: runner?.progress ?? null,
        error: code === undefined || message === undefined ? null : { code, message },
      };
    }),
  };
}
