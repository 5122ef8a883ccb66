/** What became of that which people declared, once the nodes agree: it is served, or it is known why not. */

import { instanceStatus, isNodeGone, runningTasks } from '../../../src/control/instances.js';
import { NOTHING_MEASURED } from '../../../src/control/measurements.js';
import { placeWish } from '../../../src/control/reconcile/placing.js';
import type { ClusterState, MetaInstanceRecord } from '../../../src/control/state.js';
import { instancesOfWish } from '../../../src/control/wishInstances.js';
import { TIMES } from '../../../src/shared/limits.js';
import type { World } from '../world.js';
import { type Invariant, Violation } from './contract.js';
import type { SettledCheck } from './settledChecks.js';

/** Every wish in the state of each node, until one of them is not as it should be. */
function eachWish(
  problemOf: (wish: MetaInstanceRecord, state: ClusterState, world: World) => string | null,
): SettledCheck['problem'] {
  return (world) => {
    for (const { core, name } of world.processes) {
      for (const wish of core.state.metaInstances.values()) {
        const problem = problemOf(wish, core.state, world);
        if (problem !== null) return `${wish.metaInstanceId} on ${name}: ${problem}`;
      }
    }
    return null;
  };
}

const oneInstance: SettledCheck = {
  name: 'one-instance-a-wish',
  meaning:
    'A declared model has one instance on nodes that are there; another one only while it answers somebody.',
  problem: eachWish(({ metaInstanceId }, state) => {
    const idle = instancesOfWish(state, metaInstanceId)
      .present.slice(1)
      .filter(({ instanceId }) => runningTasks(state, instanceId) === 0);
    return idle.length === 0 ? null : `${idle.map(({ instanceId }) => instanceId).join(', ')} too`;
  }),
};

const served: SettledCheck = {
  name: 'served-or-known-why',
  meaning:
    'A declared model is served, or starts anew at a time that is known, or has failed with its failures, or has no place, with the reason of each node.',
  problem: eachWish((wish, state) => {
    const { present, lost } = instancesOfWish(state, wish.metaInstanceId);
    const [kept] = present;
    if (kept !== undefined) {
      if (kept.failure !== null)
        return wish.nextAttempt === null ? 'nothing says when it is tried again' : null;
      const status = instanceStatus(state, kept);
      return status === 'ready' ? null : `${kept.instanceId} is ${status}`;
    }
    if (wish.hasFailed) return wish.errors.length > 0 ? null : 'it has failed for no reason';
    // A lost node is waited for; what was said before it was lost may be old.
    if (lost.length > 0) return null;
    if (wish.placementProblem === null || wish.nextAttempt === null) return 'it has no place for no reason';
    const told = wish.placementProblem.nodes.map(({ nodeId }) => nodeId);
    const untold = [...state.nodes.keys()].filter((nodeId) => !told.includes(nodeId));
    return untold.length === 0 ? null : `nothing is said of ${untold.join(', ')}`;
  }),
};

const placed: SettledCheck = {
  name: 'placed-where-it-fits',
  meaning:
    'No declared model waits while there is a place for it, but for a lost node that may be back soon.',
  problem: eachWish((wish, state, world) => {
    const { present, lost } = instancesOfWish(state, wish.metaInstanceId);
    const shape = state.modelShapes.get(wish.modelId);
    if (present.length > 0 || wish.hasFailed || shape === undefined) return null;
    const isSoonBack = lost.some(({ shards }) =>
      shards.some(({ nodeId }) => isNodeGone(state, nodeId) && isFresh(state, nodeId, world)),
    );
    if (isSoonBack) return null;
    const known = { ...NOTHING_MEASURED, links: world.network.openLinks(world.machines) };
    const instead = lost.map(({ instanceId }) => instanceId);
    const place = placeWish({ ...known, state }, wish, shape, { without: wish.avoidedNodes, instead });
    return place.kind === 'refused' ? null : `it would fit on ${place.shards[0]?.nodeId}`;
  }),
};

/** Clocks that were set make a loss look older or newer than it is. */
function isFresh(state: ClusterState, nodeId: Parameters<typeof isNodeGone>[1], world: World): boolean {
  const since = state.nodes.get(nodeId)?.statusSince ?? 0;
  const walls = world.processes.map(({ machine }) => machine.clock.instant.wallMs);
  return walls.some((now) => since <= now && now - since < 2 * TIMES.nodeLossGraceMs);
}

export const DECLARED_CHECKS: readonly SettledCheck[] = [oneInstance, served, placed];

const LEFT = 'nothing-left-of-deleted';

export const nothingLeftOfDeleted: Invariant = {
  name: LEFT,
  meaning: 'In no state is there an instance, a runner or a running task of what was taken back.',
  kind: 'safety',
  watch: (world) => ({
    looked() {
      for (const { core, name } of world.processes) {
        const { instances, metaInstances, runners, tasks } = core.state;
        for (const { instanceId, metaInstanceId } of instances.values()) {
          if (metaInstanceId === null || metaInstances.has(metaInstanceId)) continue;
          throw new Violation(LEFT, `${name} has ${instanceId} of ${metaInstanceId}, which nobody wants`);
        }
        for (const { runnerId, instanceId } of runners.values()) {
          if (!instances.has(instanceId)) throw new Violation(LEFT, `${name} has ${runnerId} of no instance`);
        }
        for (const instanceId of tasks.keys()) {
          if (!instances.has(instanceId)) throw new Violation(LEFT, `${name} has a task on no ${instanceId}`);
        }
      }
    },
  }),
};
