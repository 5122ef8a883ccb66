/** What a client says that it wants to run, in a body or in a query, and the wish that it becomes. */
import { z } from 'zod';
import type { ModelId, NodeId } from '../../shared/ids.js';
import { LIMITS } from '../../shared/limits.js';
import { boundedArray } from '../http/schema.js';
import type { NewMetaInstance } from '../ports.js';

export const shardingSchema = z.enum(['Pipeline', 'Tensor']);
export const transportSchema = z.enum(['Ring', 'Mesh']);
export const modelIdSchema = z.string().min(1).max(LIMITS.modelIdCharacters);
export const nodeIdSchema = z.string().min(1).max(LIMITS.idCharacters);

const SHARDING = 'How the model is divided over several nodes; one node ignores it.';
const TRANSPORT =
  'How several nodes are linked: each with the next one, or all with all; one node ignores it.';
const MIN_NODES = 'At least so many nodes, also where fewer would do.';
const NODE_IDS = 'These nodes, all of them and no others.';
const REQUIRE_RDMA = 'At least two nodes, and RDMA on every link between them.';
const CONTEXT_LENGTH = 'Of one sequence, in tokens. Left out: the default, or less where memory is short.';
const MAX_SEQUENCES = 'Sequences side by side. Left out: the default.';

export const wishSchema = z
  .strictObject({
    model_id: modelIdSchema,
    sharding: shardingSchema.default('Pipeline').describe(SHARDING),
    transport: transportSchema.default('Ring').describe(TRANSPORT),
    min_nodes: z.int().min(1).max(LIMITS.shardsPerInstance).nullable().default(null).describe(MIN_NODES),
    node_ids: boundedArray(nodeIdSchema, 1, LIMITS.shardsPerInstance)
      .nullable()
      .default(null)
      .describe(NODE_IDS),
    require_rdma: z.boolean().default(false).describe(REQUIRE_RDMA),
    context_length: z
      .int()
      .min(1)
      .max(LIMITS.contextTokens)
      .nullable()
      .default(null)
      .describe(CONTEXT_LENGTH),
    max_sequences: z
      .int()
      .min(1)
      .max(LIMITS.sequencesPerInstance)
      .nullable()
      .default(null)
      .describe(MAX_SEQUENCES),
  })
  .meta({ id: 'Wish', description: 'What shall run, and where it may.' });

type WishForm = z.output<typeof wishSchema>;

const WHOLE_NUMBER = /^\d{1,9}$/;

/** A whole number as a query spells it. */
function count(most: number) {
  return z.string().regex(WHOLE_NUMBER).transform(Number).pipe(z.int().min(1).max(most)).optional();
}

/** The same in a query: `node_ids` once for each node, or with commas. */
export const wishQuerySchema = z.strictObject({
  model_id: modelIdSchema,
  sharding: shardingSchema.default('Pipeline').describe(SHARDING),
  transport: transportSchema.default('Ring').describe(TRANSPORT),
  min_nodes: count(LIMITS.shardsPerInstance).describe(MIN_NODES),
  node_ids: z
    .preprocess(splitAtCommas, boundedArray(nodeIdSchema, 1, LIMITS.shardsPerInstance))
    .optional()
    .describe(`${NODE_IDS} Repeated, or with commas.`),
  require_rdma: z.enum(['true', 'false']).default('false').describe(REQUIRE_RDMA),
  context_length: count(LIMITS.contextTokens).describe(CONTEXT_LENGTH),
  max_sequences: count(LIMITS.sequencesPerInstance).describe(MAX_SEQUENCES),
});

function splitAtCommas(value: unknown): unknown {
  if (value === undefined) return undefined;
  const parts = Array.isArray(value) ? value : [value];
  return parts.flatMap((part) => (typeof part === 'string' ? part.split(',') : [part]));
}

export function toWish(form: WishForm): NewMetaInstance {
  return {
    modelId: form.model_id as ModelId,
    sharding: form.sharding,
    transport: form.transport,
    minNodes: form.min_nodes,
    nodeIds: form.node_ids === null ? null : ([...new Set(form.node_ids)] as NodeId[]),
    requireRdma: form.require_rdma,
    contextTokens: form.context_length,
    sequences: form.max_sequences,
  };
}

export function wishOfQuery(query: z.output<typeof wishQuerySchema>): NewMetaInstance {
  return toWish({
    ...query,
    min_nodes: query.min_nodes ?? null,
    node_ids: query.node_ids ?? null,
    require_rdma: query.require_rdma === 'true',
    context_length: query.context_length ?? null,
    max_sequences: query.max_sequences ?? null,
  });
}
