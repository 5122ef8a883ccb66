/** What `--serve` asks for: a wish for each model, unless there is one in the cluster already. */
import { randomUUID } from 'node:crypto';
import type { ClusterNode } from '../cluster/clusterNode.js';
import type { ModelCatalogue, ResolvedModel } from '../models/catalogue.js';
import type { MetaInstanceId, ModelId } from '../shared/ids.js';
import { placementShape } from '../worker/placementShape.js';
import type { UpOptions } from './upOptions.js';

/** @throws {ShoalError} when a model is not there or cannot run */
export async function resolveServed(
  catalogue: ModelCatalogue,
  { serve }: UpOptions,
): Promise<ResolvedModel[]> {
  const resolved = new Map<ModelId, ResolvedModel>();
  for (const name of serve) {
    const model = await catalogue.resolve(name);
    if (!resolved.has(model.modelId)) resolved.set(model.modelId, model);
  }
  return [...resolved.values()];
}

/** The models whose files this machine has, in the catalogue or by their path. */
export async function modelsHere(
  catalogue: ModelCatalogue,
  served: readonly ResolvedModel[],
): Promise<ModelId[]> {
  const listed = (await catalogue.list()).filter(({ refusal }) => refusal === null);
  return [...new Set([...listed, ...served].map(({ modelId }) => modelId))].sort();
}

/** @throws {ShoalError} `placement_impossible` when a model can never fit, `not_ready` without a master */
export async function declareServed(
  cluster: ClusterNode,
  served: readonly ResolvedModel[],
  { context, sequences }: UpOptions,
): Promise<void> {
  for (const { modelId, card } of served) {
    const isThere = [...cluster.state.metaInstances.values()].some((wish) => wish.modelId === modelId);
    if (isThere) continue;
    await cluster.command({
      kind: 'CreateMetaInstance',
      metaInstance: {
        metaInstanceId: randomUUID() as MetaInstanceId,
        modelId,
        sharding: 'Pipeline',
        transport: 'Ring',
        minNodes: null,
        nodeIds: null,
        requireRdma: false,
        contextTokens: context,
        sequences,
      },
      shape: placementShape(modelId, card),
    });
  }
}
