/** What the last hour is made of: what the state says of requests and runners, and what nodes tell of themselves. */
import type { ClusterNode } from '../cluster/clusterNode.js';
import type { Register } from '../cluster/registerForm.js';
import type { Registers } from '../cluster/registers.js';
import { tasksIn } from '../control/instances.js';
import type { ClusterState } from '../control/state.js';
import type { NodeId } from '../shared/ids.js';
import type { HourReading, LastHour } from '../telemetry/lastHour.js';

export interface HourSources {
  readonly nodeId: NodeId;
  readonly cluster: Pick<ClusterNode, 'state' | 'listen'>;
  readonly registers: Pick<Registers, 'of'>;
  /** Looks at this machine. */
  readonly readRegister: () => Register;
}

export function readHour({ nodeId, cluster, registers, readRegister }: HourSources): HourReading {
  const { state } = cluster;
  const reading = { queued: 0, memoryUsedBytes: 0, memoryTotalBytes: 0 };
  const tokensByNode = new Map<NodeId, number>();
  for (const id of new Set([nodeId, ...state.nodes.keys()])) {
    const register = id === nodeId ? readRegister() : registers.of(id)?.register;
    if (register === undefined) continue;
    const { memory, runners, generatedTokens } = register;
    reading.memoryUsedBytes += memory.totalBytes - memory.availableBytes;
    reading.memoryTotalBytes += memory.totalBytes;
    for (const { load } of Object.values(runners)) {
      reading.queued += numberOf((load as { queuedRequests?: unknown } | null)?.queuedRequests);
    }
    tokensByNode.set(id, generatedTokens);
  }
  return { ...reading, running: [...tasksIn(state)].length, tokensByNode };
}

/** What another node tells may be of another version. */
function numberOf(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}

/** Counts requests and failures of runners from now on. */
export function watchHour(cluster: HourSources['cluster'], hour: LastHour): void {
  let newest = newestEnded(cluster.state);
  cluster.listen({
    applied: ({ event }, state) => {
      if (event.kind === 'RunnerStatusChanged' && event.runner.status === 'failed')
        hour.count('runnerFailures');
      // Requests end by more than one kind of event; the list of those that ended has them all.
      for (let at = state.finishedTasks.length - 1; at >= 0; at -= 1) {
        const task = state.finishedTasks[at];
        if (task === undefined || task.taskId === newest) break;
        if (task.status === 'complete') hour.count('completed');
        else if (task.status !== 'running') hour.count(task.status);
      }
      newest = newestEnded(state);
    },
    replaced: (state) => {
      newest = newestEnded(state);
    },
  });
}

function newestEnded({ finishedTasks }: ClusterState) {
  return finishedTasks.at(-1)?.taskId;
}
