/** What can be read off the state about what users want to run. */
import { instanceStatus } from './instances.js';
import type { ClusterState, MetaInstanceRecord, MetaInstanceWish } from './state.js';
import { instancesOfWish } from './wishInstances.js';

export type MetaInstanceStatus = 'pending' | 'placing' | 'starting' | 'ready' | 'retrying' | 'failed';

export function metaInstanceStatus(
  state: ClusterState,
  metaInstance: MetaInstanceRecord,
): MetaInstanceStatus {
  if (metaInstance.hasFailed) return 'failed';
  const { present, lost } = instancesOfWish(state, metaInstance.metaInstanceId);
  // What is lost tells how it is only as long as nothing takes its place.
  const own = present.length > 0 ? present : lost;
  const statuses = own.map((instance) => instanceStatus(state, instance));
  if (statuses.includes('ready')) return 'ready';
  if (own.some(({ failure, attempt }) => failure !== null || attempt > 1)) return 'retrying';
  if (statuses.includes('failing')) return 'retrying';
  if (own.length > 0) return 'starting';
  if (metaInstance.avoidedNodes.length > 0) return 'retrying';
  return metaInstance.placementProblem === null ? 'placing' : 'pending';
}

/** What the user said, without what became of it. */
export function wishOf(record: MetaInstanceWish): MetaInstanceWish {
  const { metaInstanceId, modelId, sharding, transport, minNodes, nodeIds, requireRdma } = record;
  const { contextTokens, sequences } = record;
  return {
    metaInstanceId,
    modelId,
    sharding,
    transport,
    minNodes,
    nodeIds,
    requireRdma,
    contextTokens,
    sequences,
  };
}
