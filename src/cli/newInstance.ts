/** An instance as a client describes it, held against the model that it shall run. Pure. */
import type { NewInstance } from '../api/ports.js';
import { ShardSizes } from '../control/placement/shardMemory.js';
import type { ModelShape } from '../control/placement/types.js';
import { isLegalShard } from '../models/sharding/legalCuts.js';
import { slicesRefusal } from '../shared/modelDivision.js';

/** Why the model cannot be divided like this, as a sentence; null when it can. */
export function divisionProblem(
  shape: ModelShape,
  { modelId, shards, sharding }: NewInstance,
): string | null {
  const end = shards.at(-1)?.endLayer;
  if (shards.length === 1) {
    return end === shape.layers ? null : `A whole ${modelId} has the layers 0 to ${shape.layers}.`;
  }
  if (sharding === 'Tensor') {
    const refusal = slicesRefusal(shape.slices, shards.length);
    if (refusal !== null) return `${modelId} cannot be divided into ${shards.length} slices: ${refusal}`;
    return end === shape.layers ? null : `A slice of ${modelId} has the layers 0 to ${shape.layers}.`;
  }
  const { cuts } = shape;
  if (!cuts.canBeCut) return `${modelId} cannot be cut into shards: ${cuts.reason}`;
  if (end !== cuts.layers) return `The shards of ${modelId} have the layers 0 to ${cuts.layers} together.`;
  const illegal = shards.find(({ startLayer, endLayer }) => !isLegalShard(cuts, startLayer, endLayer));
  if (illegal === undefined) return null;
  return (
    `${modelId} has no shard of the layers ${illegal.startLayer} to ${illegal.endLayer}: ` +
    `it may be cut before the layers ${cuts.cuts.join(', ')}.`
  );
}

/** What each shard takes of its node's memory, in bytes, whatever the client says. */
export function memoryOfShards(shape: ModelShape, instance: NewInstance): number[] {
  const { shards, sharding, contextLength, maxSequences, cacheCells } = instance;
  const size = { contextTokens: contextLength, sequences: maxSequences, cacheCells };
  const isSliced = sharding === 'Tensor' && shards.length > 1;
  const boundaries = isSliced ? [0, shape.layers] : [0, ...shards.map(({ endLayer }) => endLayer)];
  const sizes = new ShardSizes(shape, size, boundaries);
  return shards.map((_, rank) => {
    const memory = isSliced ? sizes.slice(rank, shards.length) : sizes.range(rank, rank + 1);
    return Math.ceil(memory.totalBytes);
  });
}
