/** What this node measures of itself: for the other nodes, for people, and for metrics. */
import { availableParallelism, loadavg } from 'node:os';
import type { LinkedPeer } from '../cluster/link/contract.js';
import { type LinkInterface, linkInterface } from '../cluster/link/linkInterface.js';
import type { LinkSpeeds } from '../cluster/linkSpeeds.js';
import type { MeasuredLink, Register } from '../cluster/registerForm.js';
import { tasksIn } from '../control/instances.js';
import type { RunnerStatus } from '../control/runnerLife.js';
import type { ClusterFigures } from '../telemetry/clusterMetrics.js';
import type { NodeLoad } from '../telemetry/metrics.js';
import type { NodeSpeedMeter } from '../worker/speed/nodeSpeed.js';
import type { Worker } from '../worker/worker.js';
import type { ClusterParts } from './clusterParts.js';
import { readNodeMemory } from './nodeMemory.js';

export interface Meters {
  readonly worker: Worker;
  readonly linkSpeeds: LinkSpeeds;
  readonly speed: Pick<NodeSpeedMeter, 'speed'>;
}

/** What this node tells the others of itself every so often. */
export function readRegister(
  { links }: ClusterParts,
  { worker, linkSpeeds, speed }: Meters,
  apiUrl: string,
): Register {
  const { totalBytes, availableBytes } = readNodeMemory();
  return {
    memory: { totalBytes, availableBytes: roundTo(availableBytes, MEMORY_STEP_BYTES) },
    cpu: { cores: availableParallelism(), loadAverage: roundTo(loadavg()[0] ?? 0, LOAD_STEP) },
    speed: speed.speed,
    apiUrl,
    generatedTokens: worker.generatedTokens,
    links: [...links.peers.values()].map((peer) => measuredLink(peer, linkSpeeds)),
    runners: Object.fromEntries(
      [...worker.telemetry()].map(([runnerId, { progress, model, load }]) => [
        runnerId,
        { progress, model, load },
      ]),
    ),
  };
}

function measuredLink(peer: LinkedPeer, speeds: LinkSpeeds): MeasuredLink {
  const { kind, rdma } = interfaceOf(peer);
  return {
    to: peer.nodeId,
    interfaceKind: kind,
    rttUs: peer.roundTripUs,
    bandwidthBytesPerS: speeds.of(peer),
    rdma,
  };
}

/** A connection stays on its interface. */
const interfaces = new WeakMap<LinkedPeer, LinkInterface>();

function interfaceOf(peer: LinkedPeer): LinkInterface {
  const known = interfaces.get(peer) ?? linkInterface(peer.localAddress);
  interfaces.set(peer, known);
  return known;
}

const COMING_UP: ReadonlySet<RunnerStatus> = new Set(['spawned', 'connecting', 'loading', 'warming_up']);

/** Does this node compute nothing, and load nothing? */
export function isIdle({ cluster, node }: ClusterParts, worker: Worker): boolean {
  const { runningSequences, queuedRequests } = totalLoad(worker);
  if (runningSequences > 0 || queuedRequests > 0) return false;
  return ![...cluster.state.runners.values()].some(
    ({ nodeId, status }) => nodeId === node.nodeId && COMING_UP.has(status),
  );
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
    waitingRequests: cluster.placelessTasks,
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
