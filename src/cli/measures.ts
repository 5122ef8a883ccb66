/** What this node measures of itself: for the other nodes, for people, and for metrics. */
import { availableParallelism, loadavg } from 'node:os';
import type { Register } from '../cluster/registers.js';
import { tasksIn } from '../control/instances.js';
import type { ClusterFigures } from '../telemetry/clusterMetrics.js';
import type { NodeLoad } from '../telemetry/metrics.js';
import type { Worker } from '../worker/worker.js';
import type { ClusterParts } from './clusterParts.js';
import { readNodeMemory } from './nodeMemory.js';

/** What this node tells the others of itself every so often. */
export function readRegister({ links }: ClusterParts, worker: Worker, apiUrl: string): Register {
  const { totalBytes, availableBytes } = readNodeMemory();
  return {
    memory: { totalBytes, availableBytes: roundTo(availableBytes, MEMORY_STEP_BYTES) },
    cpu: { cores: availableParallelism(), loadAverage: roundTo(loadavg()[0] ?? 0, LOAD_STEP) },
    apiUrl,
    generatedTokens: worker.generatedTokens,
    links: [...links.peers.values()].map(({ nodeId, roundTripUs }) => ({ to: nodeId, rttUs: roundTripUs })),
    runners: Object.fromEntries(
      [...worker.telemetry()].map(([runnerId, { progress, model, load }]) => [
        runnerId,
        { progress, model, load },
      ]),
    ),
  };
}

/** Values that always flicker would make every register news. */
const MEMORY_STEP_BYTES = 64 * 1024 * 1024;
const LOAD_STEP = 0.1;

function roundTo(value: number, step: number): number {
  return Math.round(value / step) * step;
}

export function clusterFigures(
  { cluster, links }: ClusterParts,
  generationsAway: number,
  generationsHere: number,
): ClusterFigures {
  const { state } = cluster;
  const nodes = { alive: 0, suspect: 0, dead: 0 };
  for (const { status } of state.nodes.values()) nodes[status] += 1;
  return {
    term: state.term,
    isMaster: cluster.role === 'master',
    isUpToDate: cluster.isUpToDate,
    index: state.index,
    nodes,
    links: links.peers.size,
    instances: state.instances.size,
    runningTasks: [...tasksIn(state)].length,
    generationsAway,
    generationsHere,
  };
}

export function totalLoad(worker: Worker): NodeLoad {
  const total = { runningSequences: 0, queuedRequests: 0, usedCells: 0, totalCells: 0 };
  let heartbeatAgeMs = 0;
  for (const { load, heartbeatAtMs } of worker.telemetry().values()) {
    if (load === null || heartbeatAtMs === null) continue;
    for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += load[key];
    heartbeatAgeMs = Math.max(heartbeatAgeMs, performance.now() - heartbeatAtMs);
  }
  return { ...total, heartbeatAgeMs };
}
