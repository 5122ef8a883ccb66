/** What `--serve` asks for: finds each model, fits it into the memory offered, and has the cluster create instances. */
import { randomUUID } from 'node:crypto';
import type { ClusterNode } from '../cluster/clusterNode.js';
import type { ClusterState, InstanceRecord } from '../control/state.js';
import type { ModelCatalogue, ResolvedModel } from '../models/catalogue.js';
import type { InstanceId, NodeId, RunnerId } from '../shared/ids.js';
import { type Fit, fitModel } from '../worker/fitModel.js';
import type { UpOptions } from './upOptions.js';

export interface ServedModel extends ResolvedModel {
  readonly fit: Fit;
}

/**
 * Fits each model into what the ones before it, and the instances that came back with the node, leave of the memory.
 * @throws {ShoalError} when a model is not there, cannot run, or does not fit
 */
export async function fitServedModels(
  catalogue: ModelCatalogue,
  { state, nodeId }: { readonly state: ClusterState; readonly nodeId: NodeId },
  options: UpOptions,
  offeredBytes: number,
): Promise<ServedModel[]> {
  const served: ServedModel[] = [];
  const resolved = await Promise.all(options.serve.map((name) => catalogue.resolve(name)));
  const wanted = new Set(resolved.map(({ modelId }) => modelId));
  let availableBytes = offeredBytes;
  for (const instance of instancesOn(state, nodeId)) {
    if (!wanted.has(instance.modelId)) availableBytes -= memoryOn(instance, nodeId);
  }
  for (const model of resolved) {
    if (served.some(({ modelId }) => modelId === model.modelId)) continue;
    const fit = fitModel(model.card, availableBytes, {
      contextTokens: options.context,
      sequences: options.sequences,
    });
    availableBytes -= fit.memory.totalBytes;
    served.push({ ...model, fit });
  }
  return served;
}

/** The instances that these models shall have. Their ids are drawn here, once: creating one again changes nothing. */
export function instancesFor(nodeId: NodeId, served: readonly ServedModel[]): InstanceRecord[] {
  return served.map((model) => newInstance(nodeId, model));
}

/**
 * Creates what is not there. An instance of this node that was made for another size gives way to a new one. Safe to
 * repeat after a command that was not answered.
 * @throws {ShoalError} when a command is refused, or no master answers
 */
export async function createInstances(
  cluster: ClusterNode,
  nodeId: NodeId,
  wanted: readonly InstanceRecord[],
): Promise<void> {
  for (const instance of wanted) {
    // Somebody deleted it between two attempts: that is the later wish.
    if (cluster.state.deletedInstances.includes(instance.instanceId)) continue;
    const mine = instancesOn(cluster.state, nodeId).filter(({ modelId }) => modelId === instance.modelId);
    if (mine.some((one) => isOfSameSize(one, instance))) continue;
    for (const { instanceId } of mine) await cluster.command({ kind: 'DeleteInstance', instanceId });
    await cluster.command({ kind: 'CreateInstance', instance });
  }
}

function isOfSameSize(one: InstanceRecord, other: InstanceRecord): boolean {
  return one.contextLength === other.contextLength && one.maxSequences === other.maxSequences;
}

function instancesOn(state: ClusterState, nodeId: NodeId): InstanceRecord[] {
  return [...state.instances.values()].filter(({ shards }) =>
    shards.some((shard) => shard.nodeId === nodeId),
  );
}

function memoryOn(instance: InstanceRecord, nodeId: NodeId): number {
  return instance.shards.reduce((sum, shard) => sum + (shard.nodeId === nodeId ? shard.memoryBytes : 0), 0);
}

function newInstance(nodeId: NodeId, { modelId, card, fit }: ServedModel): InstanceRecord {
  const shard = {
    rank: 0,
    worldSize: 1,
    nodeId,
    runnerId: randomUUID() as RunnerId,
    startLayer: 0,
    endLayer: card.layers,
    memoryBytes: fit.memory.totalBytes,
  };
  return {
    instanceId: randomUUID() as InstanceId,
    metaInstanceId: null,
    modelId,
    sharding: 'Pipeline',
    transport: 'Ring',
    contextLength: fit.contextTokens,
    maxSequences: fit.sequences,
    cacheCells: fit.cacheCells,
    shards: [shard],
  };
}
