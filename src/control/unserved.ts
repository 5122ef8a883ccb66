/** Why nothing takes a request for a model, when that may change, and what to do: what the client is told (R4). */
import type { Fault } from '../shared/errors.js';
import type { ModelId, NodeId } from '../shared/ids.js';
import { LIMITS, TIMES } from '../shared/limits.js';
import { isNodeGone, runnersOf } from './instances.js';
import { type MetaInstanceStatus, metaInstanceStatus } from './metaInstanceView.js';
import type { ClusterState, InstanceRecord, MetaInstanceRecord } from './state.js';
import { instancesOfWish } from './wishInstances.js';

/** What a start takes beyond the wait for it: spawn, load and warm-up of a small model. */
const START_ALLOWANCE_MS = 1_000;
const MS_PER_S = 1_000;

/** Of several wishes for one model, the one that may serve soonest speaks. */
const BY_PROSPECT: readonly MetaInstanceStatus[] = [
  'ready',
  'starting',
  'retrying',
  'placing',
  'pending',
  'failed',
];

/** @param instances of the model: none of them can take a request */
export function unserved(
  state: ClusterState,
  modelId: ModelId,
  instances: readonly InstanceRecord[],
  now: number,
): Fault {
  const plain = instances.filter(({ metaInstanceId }) => metaInstanceId === null);
  const [wish] = [...state.metaInstances.values()]
    .filter((one) => one.modelId === modelId)
    .map((one) => ({ one, prospect: BY_PROSPECT.indexOf(metaInstanceStatus(state, one)) }))
    .sort((a, b) => a.prospect - b.prospect);
  if (wish !== undefined && plain.length === 0) return ofWish(state, wish.one, now);
  if (instances.length > 0) return allFailed(state, modelId, instances, now);
  const isHere = [...state.nodes.values()].some(({ models }) => models.includes(modelId));
  const remedy = isHere
    ? `\`shoal deploy ${modelId}\` starts one`
    : 'no node has a model of this name, and `shoal models list` shows those that there are';
  return { code: 'no_instance', message: `no instance of ${modelId} is running; ${remedy}` };
}

function ofWish(state: ClusterState, wish: MetaInstanceRecord, now: number): Fault {
  const { modelId, metaInstanceId, hasFailed, placementProblem } = wish;
  const { present, lost } = instancesOfWish(state, metaInstanceId);
  const last = wish.errors.at(-1)?.message;
  if (hasFailed) {
    const how = last === undefined ? '' : `, the last time with: ${last}`;
    const retry = `shoal retry ${metaInstanceId.slice(0, LIMITS.shortIdCharacters)}`;
    return {
      code: 'all_instances_failed',
      message: `${modelId} failed too often and is not tried any more${how}. When the cause is gone, \`${retry}\` tries it again.`,
    };
  }
  if (present.length > 0) return ofAttempts(state, wish, present, now);
  if (placementProblem !== null) {
    const went = lost.length === 0 ? '' : `, since ${goneNodes(state, lost)} is gone`;
    return {
      code: 'no_instance',
      message: `${modelId} waits for a place${went}: ${placementProblem.message} It starts by itself as soon as it fits; \`shoal status\` shows what each node lacks.`,
    };
  }
  if (lost.length > 0) return ofLost(state, wish, lost, now);
  return soon('not_ready', `${modelId} is being given a place`, START_ALLOWANCE_MS);
}

function ofAttempts(
  state: ClusterState,
  { modelId, nextAttempt }: MetaInstanceRecord,
  instances: readonly InstanceRecord[],
  now: number,
): Fault {
  const reason =
    instances.find(({ failure }) => failure !== null)?.failure?.message ??
    runnerError(state, instances) ??
    'it is being stopped';
  const waitMs =
    nextAttempt === null ? TIMES.attemptBaseMs : within(nextAttempt.at - now, TIMES.attemptMaxMs);
  return soon(
    'all_instances_failed',
    `${modelId} is not served at the moment: ${reason}. It is started again ${inSeconds(waitMs)}.`,
    waitMs + START_ALLOWANCE_MS,
  );
}

function ofLost(
  state: ClusterState,
  { modelId }: MetaInstanceRecord,
  lost: readonly InstanceRecord[],
  now: number,
): Fault {
  const since = lost.flatMap(({ shards }) =>
    shards
      .filter(({ nodeId }) => isNodeGone(state, nodeId))
      .map(({ nodeId }) => state.nodes.get(nodeId)?.statusSince ?? 0),
  );
  const waitMs = within(Math.max(...since) + TIMES.nodeLossGraceMs - now, TIMES.nodeLossGraceMs);
  return soon(
    'all_instances_failed',
    `${modelId} is not served at the moment: ${goneNodes(state, lost)} is gone. It is placed elsewhere ${inSeconds(waitMs)} if it fits, or goes on when the node is back.`,
    waitMs + START_ALLOWANCE_MS,
  );
}

function goneNodes(state: ClusterState, lost: readonly InstanceRecord[]): string {
  const gone = new Set<NodeId>();
  for (const { shards } of lost) {
    for (const { nodeId } of shards) if (isNodeGone(state, nodeId)) gone.add(nodeId);
  }
  return [...gone].map((nodeId) => `node ${state.nodes.get(nodeId)?.name ?? nodeId}`).join(' and ');
}

/** Instances that nobody declared are restarted by their nodes. */
function allFailed(
  state: ClusterState,
  modelId: ModelId,
  instances: readonly InstanceRecord[],
  now: number,
): Fault {
  const reason =
    runnerError(state, instances) ??
    (instances.some(({ shards }) => shards.some((shard) => isNodeGone(state, shard.nodeId)))
      ? 'the node that runs it is gone'
      : 'it is being stopped');
  const restarts = instances.flatMap((instance) =>
    runnersOf(state, instance).flatMap((runner) => runner.restartAt ?? []),
  );
  const message = `${modelId} is not served at the moment: ${reason}`;
  if (restarts.length === 0) {
    return { code: 'all_instances_failed', message: `${message}. \`shoal status\` says what can be done.` };
  }
  const waitMs = Math.max(0, Math.min(...restarts) - now);
  const again = `${message}. It is started again ${inSeconds(waitMs)}.`;
  return soon('all_instances_failed', again, waitMs + START_ALLOWANCE_MS);
}

function runnerError(state: ClusterState, instances: readonly InstanceRecord[]): string | undefined {
  const runners = instances.flatMap((instance) => runnersOf(state, instance));
  return runners.find((runner) => runner.error !== null)?.error?.message;
}

const soon = (code: Fault['code'], message: string, retryAfterMs: number): Fault => ({
  code,
  message,
  retryAfterMs,
});

/** A wall clock that was set makes no wait longer than any can be. */
const within = (ms: number, mostMs: number): number => Math.min(Math.max(0, ms), mostMs);

function inSeconds(ms: number): string {
  const seconds = Math.ceil(ms / MS_PER_S);
  return seconds === 0 ? 'now' : `in about ${seconds} s`;
}
