/**
 * Why an attempt at an instance has come to an end, and who is at fault (R7, R24, R25). Over several nodes all ranks
 * end when one does, and most of them only say which other they have lost: those are witnesses, not culprits.
 */
import type { NodeId } from '../../shared/ids.js';
import { TIMES } from '../../shared/limits.js';
import { isNodeGone, runnersOf } from '../instances.js';
import { isServing, isTerminal, type RunnerStatus } from '../runnerLife.js';
import type { ClusterState, InstanceFailure, InstanceRecord, RunnerRecord, ShardRecord } from '../state.js';
import type { LostLink, ReconcileInput } from './contract.js';

type Verdict = Omit<InstanceFailure, 'at'>;

/** Null while the attempt goes on, or its end is not complete yet. */
export function attemptFailure(input: ReconcileInput, instance: InstanceRecord): Verdict | null {
  const runners = runnersOf(input.state, instance);
  if (instance.shards.length === 1) return runnerFailure(input.state, instance, runners);
  const outside = nodeFailure(input.state, instance, runners) ?? linkFailure(input, instance);
  if (outside === null) return runnerFailure(input.state, instance, runners);
  return hasServed(runners) ? { ...outside, isExcused: true } : outside;
}

/**
 * Had all its ranks come to serve, as far as their nodes told it? What machines do to a model while it starts may be its
 * own doing: it may be what takes them down.
 */
function hasServed(runners: readonly RunnerRecord[]): boolean {
  const told = runners.filter(({ sequence, status }) => sequence > 0 && !isLeaving(status));
  return (
    told.length > 0 &&
    told.every(({ status, error }) => isServing(status === 'failed' ? (error?.phase ?? status) : status))
  );
}

const isLeaving = (status: RunnerStatus): boolean => status === 'stopping' || status === 'stopped';

/** Between which nodes an instance needs a way: Ring from each rank to the next, Mesh between every pair (R24). */
export function neededLinks({ shards, transport }: InstanceRecord): [NodeId, NodeId][] {
  const needed: [NodeId, NodeId][] = [];
  for (const [at, shard] of shards.entries()) {
    for (const [later, other] of shards.entries()) {
      const isClosing = at === 0 && later === shards.length - 1;
      const isNeeded = transport === 'Mesh' || later === at + 1 || isClosing;
      if (later > at && isNeeded) needed.push([shard.nodeId, other.nodeId]);
    }
  }
  return needed;
}

/** The link that an instance needs and that has been lost for this long. */
export function lostLinkOf(
  { lostLinks }: Pick<ReconcileInput, 'lostLinks'>,
  instance: InstanceRecord,
  leastMs: number,
): LostLink | null {
  if (instance.shards.length === 1 || lostLinks.length === 0) return null;
  const needed = neededLinks(instance);
  const isNeeded = ({ nodes: [a, b] }: LostLink) =>
    needed.some(([c, d]) => (a === c && b === d) || (a === d && b === c));
  return lostLinks.find((link) => link.lostForMs >= leastMs && isNeeded(link)) ?? null;
}

/** Is this runner's node in a new life, in which the runner has yet to start? */
export function isStartedAnew({ sequence, incarnation }: RunnerRecord): boolean {
  return sequence === 0 && incarnation > 0;
}

/** Statuses of a rank that has been linked with all others: when one of them is started anew, it waits in vain. */
const LINKED: ReadonlySet<RunnerStatus> = new Set(['loading', 'warming_up', 'ready', 'running']);

/** The others cannot serve without it, and hold memory in vain: nobody waits until they have noticed. */
function nodeFailure(
  state: ClusterState,
  { shards }: InstanceRecord,
  runners: readonly RunnerRecord[],
): Verdict | null {
  const gone = shards.find(({ nodeId }) => isNodeGone(state, nodeId));
  if (gone !== undefined) return verdict(state, gone.nodeId, `${rankName(gone)} is lost: the node is gone`);
  const anew = runners.find(isStartedAnew);
  if (anew === undefined || !runners.some(({ status }) => LINKED.has(status))) return null;
  return verdict(state, anew.nodeId, `${rankName(anew)} is lost: the node was started anew`);
}

function linkFailure(input: ReconcileInput, instance: InstanceRecord): Verdict | null {
  const lost = lostLinkOf(input, instance, TIMES.linkLossConfirmMs);
  if (lost === null) return null;
  const [a, b] = lost.nodes.map((nodeId) => nameOf(input.state, nodeId));
  const seconds = Math.round(lost.lostForMs / MS_PER_S);
  const message = `there is no way between ${a} and ${b}, which ${instance.transport} needs, for ${seconds} s now`;
  return { nodeId: null, message };
}

const MS_PER_S = 1_000;

function runnerFailure(
  state: ClusterState,
  { shards }: InstanceRecord,
  runners: readonly RunnerRecord[],
): Verdict | null {
  const failed = runners.filter(({ status }) => status === 'failed');
  const [witness] = failed;
  if (witness === undefined) return null;
  // A sibling on a node that is gone never says that it has ended, nor does one that was not started: it waits (R32).
  const hasEnded = ({ status, sequence, nodeId }: RunnerRecord) =>
    isTerminal(status) || sequence === 0 || isNodeGone(state, nodeId);
  if (!runners.every(hasEnded)) return null;
  const culprit = failed.find((runner) => blamedRank(runner) === null);
  if (culprit !== undefined) {
    return verdict(state, culprit.nodeId, culprit.error?.message ?? 'the runner failed');
  }
  const blamed = shards.find(({ rank }) => rank === blamedRank(witness)) ?? witness;
  const seenBy = `${nameOf(state, witness.nodeId)} lost it: ${witness.error?.message ?? 'the runner failed'}`;
  return verdict(state, blamed.nodeId, `${rankName(blamed)} is at fault, ${seenBy}`);
}

/** The other rank that a runner ended because of; null when it says nothing of one. */
function blamedRank({ rank, error }: RunnerRecord): number | null {
  const blamed = error?.details?.rank;
  return typeof blamed === 'number' && blamed !== rank ? blamed : null;
}

const rankName = ({ rank }: Pick<ShardRecord, 'rank'>): string => `rank ${rank}`;

const nameOf = (state: ClusterState, nodeId: NodeId): string => state.nodes.get(nodeId)?.name ?? nodeId;

function verdict(state: ClusterState, nodeId: NodeId, message: string): Verdict {
  return { nodeId, message: `${nameOf(state, nodeId)}: ${message}` };
}
