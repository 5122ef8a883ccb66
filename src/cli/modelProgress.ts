/** How far the models of this node are, for people who wait for them. */
import { runnersOf } from '../control/instances.js';
import type { ClusterState } from '../control/state.js';
import type { ModelId } from '../shared/ids.js';
import type { Worker } from '../worker/worker.js';

export interface ModelProgress {
  readonly modelId: ModelId;
  readonly fraction: number;
  readonly phase: string;
}

export function modelProgress(
  state: ClusterState,
  worker: Worker,
  served: readonly { readonly modelId: ModelId }[],
): ModelProgress[] {
  const facts = worker.telemetry();
  return served.map(({ modelId }) => {
    const instance = [...state.instances.values()].find((entry) => entry.modelId === modelId);
    if (instance === undefined) {
      const wish = [...state.metaInstances.values()].find((entry) => entry.modelId === modelId);
      return { modelId, fraction: 0, phase: wish?.placementProblem?.message ?? 'waiting for a place' };
    }
    const runners = runnersOf(state, instance);
    const failed = runners.find(({ status }) => status === 'failed');
    const slowest = runners.find(({ status }) => status !== 'ready') ?? runners[0];
    const phase = failed?.error?.message ?? slowest?.status ?? 'starting';
    const fraction = phase === 'ready' ? 1 : (slowest && facts.get(slowest.runnerId)?.progress) || 0;
    return { modelId, fraction, phase };
  });
}
