/** What `--serve` asks for: a wish for each model, unless there is one in the cluster already. */
import { randomUUID } from 'node:crypto';
import type { ClusterNode } from '../cluster/clusterNode.js';
import type { ModelShape } from '../control/placement/types.js';
import type { MetaInstanceWish } from '../control/state.js';
import type { ModelCatalogue, ResolvedModel } from '../models/catalogue.js';
import type { MetaInstanceId, ModelId } from '../shared/ids.js';
import { LIMITS } from '../shared/limits.js';
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

/**
 * The models whose files this machine has, in the catalogue or by their path: as many as the other nodes take, those that
 * it shall serve first.
 * @param onUnreadable is told of each folder of `--models` that cannot be looked through
 */
export async function modelsHere(
  catalogue: Pick<ModelCatalogue, 'list'>,
  served: readonly Pick<ResolvedModel, 'modelId'>[],
  folders: readonly string[],
  onUnreadable: (folder: string, reason: string) => void,
): Promise<ModelId[]> {
  const all = await catalogue.list();
  for (const { path, refusal } of all) {
    if (refusal !== null && folders.includes(path)) onUnreadable(path, refusal);
  }
  const listed = all.filter(({ refusal }) => refusal === null);
  const told = [...served, ...listed]
    .map(({ modelId }) => modelId)
    .filter(({ length }) => length <= LIMITS.modelIdCharacters);
  return [...new Set(told)].slice(0, LIMITS.modelsPerNode).sort();
}

export interface ServedWish {
  readonly metaInstance: MetaInstanceWish;
  readonly shape: ModelShape;
}

/** The wishes for these models. Their ids are drawn here, once: to declare one again changes nothing. */
export function wishesFor(
  served: readonly ResolvedModel[],
  { context, sequences }: UpOptions,
): readonly ServedWish[] {
  return served.map(({ modelId, card }) => ({
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
  }));
}

/**
 * Declares what is not there. Safe to repeat after a command that was not answered.
 * @throws {ShoalError} `placement_impossible` when a model can never fit, `not_ready` without a master
 */
export async function declareServed(cluster: ClusterNode, wishes: readonly ServedWish[]): Promise<void> {
  for (const wish of wishes) {
    const { modelId, metaInstanceId } = wish.metaInstance;
    // Somebody deleted it between two attempts: that is the later wish.
    if (cluster.state.deletedMetaInstances.includes(metaInstanceId)) continue;
    const isThere = [...cluster.state.metaInstances.values()].some((other) => other.modelId === modelId);
    if (!isThere) await cluster.command({ kind: 'CreateMetaInstance', ...wish });
  }
}
