/**
 * A placement as `/instance/placement` shows it, and the instance that a client makes of it: the same object, so that
 * what was shown can be sent back as it is, or changed.
 */
import { z } from 'zod';
import { placementFault } from '../../control/placement/explainRefusal.js';
import type { PlacementPreview } from '../../control/placement/previews.js';
import type { NodeVerdict, Placement, Sharding } from '../../control/placement/types.js';
import type { ModelId, NodeId } from '../../shared/ids.js';
import { LIMITS } from '../../shared/limits.js';
import { errorBody } from '../http/errors.js';
import { addFieldIssue, boundedArray } from '../http/schema.js';
import type { NewInstance } from '../ports.js';
import { modelIdSchema, nodeIdSchema, shardingSchema, transportSchema } from './wish.js';

const NOT_READ = 'For people; a sent one is not looked at.';
const count = z.int().min(0);

const shardSchema = z.strictObject({
  rank: count,
  world_size: count,
  node_id: nodeIdSchema,
  start_layer: count.describe('Layers from this one'),
  end_layer: count.describe('to the one before this.'),
  memory_bytes: count.describe('What the shard needs on its node, in all.'),
  memory: z
    .object({ weights_bytes: z.number(), cache_bytes: z.number(), overhead_bytes: z.number() })
    .optional()
    .describe(NOT_READ),
});

const explanationFields = {
  memory_by_node: z.record(z.string(), z.number()).optional().describe(`In bytes. ${NOT_READ}`),
  prediction: z
    .object({
      token_ms: z.number(),
      longest_stage_ms: z.number().optional(),
      first_token_ms: z.number(),
      request_ms: z.number(),
      is_measured: z.boolean(),
    })
    .optional()
    .describe(`How fast it will be, as far as nodes and links are measured. ${NOT_READ}`),
  explanation: z.string().max(LIMITS.faultMessageCharacters).optional().describe(NOT_READ),
  nodes: z
    .array(z.looseObject({ node_id: z.string(), name: z.string(), code: z.string(), reason: z.string() }))
    .max(LIMITS.peers)
    .optional()
    .describe(`Why each node is used or not. ${NOT_READ}`),
};

export const placementSchema = z
  .strictObject({
    model_id: modelIdSchema,
    sharding: shardingSchema,
    transport: transportSchema,
    context_length: z.int().min(1).max(LIMITS.contextTokens).describe('Of one sequence, in tokens.'),
    max_sequences: z.int().min(1).max(LIMITS.sequencesPerInstance),
    cache_cells: z.int().min(1).describe('KV cells that all sequences share: one full context at least.'),
    shards: boundedArray(shardSchema, 1, LIMITS.shardsPerInstance).describe('In the order of their ranks.'),
    ...explanationFields,
  })
  .superRefine(checkShards)
  .meta({ id: 'Placement', description: 'A model on nodes, with the layers and the memory of each.' });

type PlacementForm = z.output<typeof placementSchema>;

interface CheckedForm {
  readonly sharding: Sharding;
  readonly context_length: number;
  readonly cache_cells: number;
  readonly shards: readonly z.output<typeof shardSchema>[];
}

/** Ranks in order, each on a node of its own, and layers that follow each other; in slices all have all of them. */
function checkShards(form: CheckedForm, context: z.core.$RefinementCtx): void {
  const { shards, sharding, cache_cells: cells, context_length: contextLength } = form;
  if (cells < contextLength) addFieldIssue(context, 'cache_cells', 'It is less than one `context_length`.');
  if (new Set(shards.map((shard) => shard.node_id)).size < shards.length) {
    addFieldIssue(context, 'shards', 'Each shard needs a node of its own.');
  }
  const isSliced = sharding === 'Tensor' && shards.length > 1;
  for (const [at, shard] of shards.entries()) {
    const startsAt = isSliced ? 0 : (shards[at - 1]?.end_layer ?? 0);
    const hasOrder = shard.rank === at && shard.world_size === shards.length;
    const hasLayers = shard.start_layer === startsAt && shard.end_layer > shard.start_layer;
    const isLikeOthers = !isSliced || shard.end_layer === shards[0]?.end_layer;
    if (hasOrder && hasLayers && isLikeOthers) continue;
    const what = hasOrder
      ? 'layers, which must follow on those before it, or be all of them in each slice'
      : '`rank` or `world_size`';
    addFieldIssue(context, 'shards', `Shard ${at} has wrong ${what}.`);
    return;
  }
}

export function toInstance(form: PlacementForm): NewInstance {
  return {
    modelId: form.model_id as ModelId,
    sharding: form.sharding,
    transport: form.transport,
    contextLength: form.context_length,
    maxSequences: form.max_sequences,
    cacheCells: form.cache_cells,
    shards: form.shards.map((shard) => ({
      rank: shard.rank,
      worldSize: shard.world_size,
      nodeId: shard.node_id as NodeId,
      startLayer: shard.start_layer,
      endLayer: shard.end_layer,
      memoryBytes: shard.memory_bytes,
    })),
  };
}

export function placementForm(modelId: ModelId, placement: Placement): PlacementForm {
  const { shards, prediction } = placement;
  return {
    model_id: modelId,
    sharding: placement.sharding,
    transport: placement.transport,
    context_length: placement.contextTokens,
    max_sequences: placement.sequences,
    cache_cells: placement.cacheCells,
    shards: shards.map(({ rank, nodeId, startLayer, endLayer, memory }) => ({
      rank,
      world_size: shards.length,
      node_id: nodeId,
      start_layer: startLayer,
      end_layer: endLayer,
      memory_bytes: memory.totalBytes,
      memory: {
        weights_bytes: memory.weightsBytes,
        cache_bytes: memory.cacheBytes,
        overhead_bytes: memory.overheadBytes,
      },
    })),
    memory_by_node: Object.fromEntries(shards.map(({ nodeId, memory }) => [nodeId, memory.totalBytes])),
    prediction: {
      token_ms: prediction.tokenMs,
      longest_stage_ms: prediction.longestStageMs,
      first_token_ms: prediction.firstTokenMs,
      request_ms: prediction.requestMs,
      is_measured: prediction.isMeasured,
    },
    explanation: placement.explanation,
    nodes: placement.nodes.map(verdictForm),
  };
}

function verdictForm(verdict: NodeVerdict) {
  return {
    node_id: verdict.nodeId,
    name: verdict.name,
    code: verdict.code,
    reason: verdict.reason,
    offered_bytes: verdict.memoryOfferedBytes,
    free_bytes: verdict.memoryFreeBytes,
  };
}

export const previewSchema = z
  .object({
    model_id: z.string(),
    sharding: shardingSchema,
    transport: transportSchema,
    min_nodes: z.int(),
    instance: placementSchema.nullable().describe('What would be placed; null where it cannot be.'),
    memory_by_node: z.record(z.string(), z.number()).nullable().describe('In bytes.'),
    error: z
      .looseObject({ code: z.string(), message: z.string() })
      .nullable()
      .describe('Why not, with the reason of each node in `details.nodes`.'),
  })
  .meta({ id: 'PlacementPreview', description: 'One way to place a model.' });

export function previewForm(modelId: ModelId, preview: PlacementPreview): z.output<typeof previewSchema> {
  const { sharding, transport, minNodes, result } = preview;
  const option = { model_id: modelId, sharding, transport, min_nodes: minNodes };
  if (result.kind === 'refused') {
    const { error } = errorBody(placementFault(result));
    return { ...option, instance: null, memory_by_node: null, error: { ...error } };
  }
  const instance = placementForm(modelId, result);
  return { ...option, instance, memory_by_node: instance.memory_by_node ?? {}, error: null };
}
