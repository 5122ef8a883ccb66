/** How far the models of this node are, for people who wait for them. */
import { runnersOf } from '../control/instances.js';
import type { ClusterState } from '../control/state.js';
import type { ModelId, NodeId } from '../shared/ids.js';
import type { Worker } from '../worker/worker.js';

export interface ModelProgress {
  readonly modelId: ModelId;
  readonly fraction: number;
  readonly phase: string;
}

export function modelProgress(state: ClusterState, worker: Worker, nodeId: NodeId): ModelProgress[] {
  const facts = worker.telemetry();
  const mine = [...state.instances.values()].filter(({ shards }) =>
    shards.some((shard) => shard.nodeId === nodeId),
  );
  return mine.map((instance) => {
    const runner = runnersOf(state, instance).find((entry) => entry.nodeId === nodeId);
    const phase = runner?.status === 'failed' ? runner.error?.message : runner?.status;
    const fraction = runner?.status === 'ready' ? 1 : (runner && facts.get(runner.runnerId)?.progress) || 0;
    return { modelId: instance.modelId, fraction, phase: phase ?? 'starting' };
  });
}
