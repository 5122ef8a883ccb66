/** What people ask of the cluster through this node: placed here on the newest state, decided by the master. */
import { createHash, randomUUID } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ClusterCommands, NewInstance, NewMetaInstance } from '../api/ports.js';
import type { ClusterNode } from '../cluster/clusterNode.js';
import { runnerIdOf } from '../control/applyInstance.js';
import { placementFault } from '../control/placement/explainRefusal.js';
import { type PlacementPreview, previews } from '../control/placement/previews.js';
import type { ModelShape, Placement } from '../control/placement/types.js';
import { type Known, placementRequest, placeWish } from '../control/reconcile/placing.js';
import type { InstanceRecord } from '../control/state.js';
import type { ModelCatalogue } from '../models/catalogue.js';
import { ShoalError } from '../shared/errors.js';
import type { InstanceId, MetaInstanceId, ModelId } from '../shared/ids.js';
import { placementShape } from '../worker/placementShape.js';
import { divisionProblem, memoryOfShards } from './newInstance.js';

export class PeopleCommands implements ClusterCommands {
  readonly #cluster: ClusterNode;
  readonly #catalogue: ModelCatalogue;

  constructor(components: { readonly cluster: ClusterNode; readonly catalogue: ModelCatalogue }) {
    this.#cluster = components.cluster;
    this.#catalogue = components.catalogue;
  }

  async forgetNode(nodeId: Parameters<ClusterCommands['forgetNode']>[0]): Promise<void> {
    await this.#cluster.command({ kind: 'ForgetNode', nodeId });
  }

  async deleteInstance(instanceId: InstanceId): Promise<void> {
    await this.#cluster.command({ kind: 'DeleteInstance', instanceId });
  }

  async createMetaInstance(wish: NewMetaInstance, key: string | null): Promise<MetaInstanceId> {
    const metaInstanceId = newId(key) as MetaInstanceId;
    const shape = await this.#shapeOf(wish.modelId);
    const metaInstance = { ...wish, metaInstanceId };
    await this.#cluster.command({ kind: 'CreateMetaInstance', metaInstance, shape });
    return metaInstanceId;
  }

  async deleteMetaInstance(metaInstanceId: MetaInstanceId): Promise<void> {
    await this.#cluster.command({ kind: 'DeleteMetaInstance', metaInstanceId });
  }

  async retryMetaInstance(metaInstanceId: MetaInstanceId): Promise<void> {
    await this.#cluster.command({ kind: 'RetryMetaInstance', metaInstanceId });
  }

  async placeInstance(wish: NewMetaInstance, key: string | null): Promise<InstanceId> {
    const instanceId = newId(key) as InstanceId;
    const made = this.#cluster.state.instances.get(instanceId);
    // It has taken the memory that it would be placed on now.
    if (made?.modelId === wish.modelId) return instanceId;
    const { contextTokens, sequences, cacheCells, sharding, transport, shards } = await this.placement(wish);
    await this.#create(instanceId, {
      modelId: wish.modelId,
      sharding,
      transport,
      contextLength: contextTokens,
      maxSequences: sequences,
      cacheCells,
      shards: shards.map(({ rank, nodeId, startLayer, endLayer, memory }) => ({
        rank,
        worldSize: shards.length,
        nodeId,
        startLayer,
        endLayer,
        memoryBytes: memory.totalBytes,
      })),
    });
    return instanceId;
  }

  async createInstance(instance: NewInstance, key: string | null): Promise<InstanceId> {
    const instanceId = newId(key) as InstanceId;
    await this.#create(instanceId, instance);
    return instanceId;
  }

  async #create(instanceId: InstanceId, instance: NewInstance): Promise<void> {
    const shape = await this.#shapeOf(instance.modelId);
    const problem = divisionProblem(shape, instance);
    if (problem !== null) throw new ShoalError('placement_impossible', problem, { param: 'instance' });
    const needed = memoryOfShards(shape, instance);
    const record: InstanceRecord = {
      ...instance,
      instanceId,
      metaInstanceId: null,
      attempt: 1,
      failure: null,
      excused: 0,
      shards: instance.shards.map((shard, at) => ({
        ...shard,
        runnerId: runnerIdOf(instanceId, 1, shard.rank),
        memoryBytes: Math.max(shard.memoryBytes, needed[at] ?? 0),
      })),
    };
    await this.#cluster.command({ kind: 'CreateInstance', instance: record });
  }

  async placement(wish: NewMetaInstance): Promise<Placement> {
    const shape = await this.#shapeOf(wish.modelId);
    const placement = placeWish(this.#known, wish, shape);
    if (placement.kind === 'refused') throw ShoalError.fromFault(placementFault(placement));
    return placement;
  }

  async previews(wish: NewMetaInstance): ReturnType<ClusterCommands['previews']> {
    const shape = await this.#shapeOf(wish.modelId);
    const found: PlacementPreview[] = [];
    for (const preview of previews(placementRequest(this.#known, wish, shape))) {
      found.push(preview);
      // Each takes milliseconds on a large cluster: other work goes on between two.
      await nextTurn();
    }
    return found;
  }

  get #known(): Known {
    return { state: this.#cluster.state, ...this.#cluster.measured };
  }

  /** As the one who declared it first has told; else from the file, when it is here. */
  async #shapeOf(modelId: ModelId): Promise<ModelShape> {
    const told = this.#cluster.state.modelShapes.get(modelId);
    if (told !== undefined) return told;
    const found = await this.#catalogue.resolve(modelId);
    // A path leads to a file too, but no node would know the model by it.
    if (found.modelId === modelId) return placementShape(modelId, found.card);
    throw new ShoalError(
      'model_not_found',
      `There is no model \`${modelId}\`; that file is \`${found.modelId}\`.`,
      {
        param: 'model_id',
      },
    );
  }
}

const UUID_PARTS = [8, 12, 16, 20, 32] as const;

/** The id of what is made with a key is the key's own on every node: the master then knows that it is the same. */
function newId(key: string | null): string {
  if (key === null) return randomUUID();
  const digest = createHash('sha256').update(`idempotency key ${key}`).digest('hex');
  return UUID_PARTS.map((end, at) => digest.slice(UUID_PARTS[at - 1] ?? 0, end)).join('-');
}
