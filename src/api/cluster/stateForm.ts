/** The parts of the state's JSON that routes look into, and what `/openapi.json` says of them. */
import { z } from 'zod';
import type { NodeView } from '../ports.js';

const shardSchema = z.looseObject({
  rank: z.int(),
  world_size: z.int(),
  node_id: z.string(),
  runner_id: z.string(),
  start_layer: z.int(),
  end_layer: z.int(),
  memory_bytes: z.int(),
});

const failureSchema = z.object({
  at: z.iso.datetime(),
  node_id: z.string().optional(),
  message: z.string(),
  is_excused: z
    .literal(true)
    .optional()
    .describe(
      'A machine or a cable failed under a model that served: it does not count as a failure of the model.',
    ),
});

export const instanceSchema = z
  .looseObject({
    instance_id: z.string(),
    meta_instance_id: z.string().nullable(),
    model_id: z.string(),
    sharding: z.string(),
    transport: z.string(),
    attempt: z.int(),
    status: z.enum(['starting', 'ready', 'failing', 'stopping']),
    context_length: z.int().describe('Of one sequence, in tokens.'),
    max_sequences: z.int(),
    failure: failureSchema
      .nullable()
      .optional()
      .describe('Why this attempt failed, until the next one; only an instance of a MetaInstance has it.'),
    shards: z.array(shardSchema),
  })
  .meta({ id: 'Instance', description: 'A model in memory, on one node or cut over several.' });

export type InstanceForm = z.output<typeof instanceSchema>;

export const metaInstanceSchema = z
  .looseObject({
    meta_instance_id: z.string(),
    model_id: z.string(),
    sharding: z.string(),
    transport: z.string(),
    min_nodes: z.int().nullable(),
    node_ids: z.array(z.string()).nullable(),
    status: z
      .enum(['pending', 'placing', 'starting', 'ready', 'retrying', 'failed'])
      .describe(
        '`pending`: it fits nowhere just now. `failed`: it is not tried any more until somebody retries it.',
      ),
    consecutive_failures: z.int().describe('Since it last served for a while.'),
    max_retries: z.int().describe('Times that a failed instance is started anew where it is.'),
    errors: z.array(failureSchema).describe('The newest failures, oldest first.'),
    avoided_nodes: z.array(z.string()).optional().describe('Nodes at which it failed for good.'),
    placement_error: z
      .object({
        at: z.iso.datetime(),
        message: z.string(),
        nodes: z.array(z.object({ node_id: z.string(), name: z.string(), reason: z.string() })),
      })
      .nullable()
      .describe('Why it fits nowhere.'),
    next_attempt_at: z.iso.datetime().nullable(),
    created_at: z.iso.datetime(),
  })
  .meta({ id: 'MetaInstance', description: 'What a user wants to run, until the user takes it back.' });

type MetaInstanceForm = z.output<typeof metaInstanceSchema>;

interface RunnerForm {
  readonly status: string;
  /** Share of the loading that is done, from 0 to 1. */
  readonly progress?: number | null;
  readonly error?: { readonly code: string; readonly message: string };
}

export interface StateForm {
  readonly nodes: Readonly<Record<string, unknown>>;
  readonly instances: Readonly<Record<string, InstanceForm>>;
  readonly runners: Readonly<Record<string, RunnerForm>>;
  readonly meta_instances: Readonly<Record<string, MetaInstanceForm>>;
}

export function readState(view: NodeView): StateForm {
  return view.state() as unknown as StateForm;
}

/** The entry under an id that a client sent; never what every object inherits. */
export function entryOf<Entry>(entries: Readonly<Record<string, Entry>>, id: string): Entry | null {
  return Object.hasOwn(entries, id) ? (entries[id] as Entry) : null;
}
