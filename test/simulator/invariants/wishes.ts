import type { InstanceRecord } from '../../../src/control/state.js';
import type { InstanceId, NodeId } from '../../../src/shared/ids.js';
import { TIMES } from '../../../src/shared/limits.js';
import type { Machine, Process } from '../machine.js';
import type { World } from '../world.js';
import { type Invariant, Violation } from './contract.js';

const KEPT = 'no-wish-lost';
const DELETED = 'no-deletion-undone';
/** An answer that comes sooner than this rests on a disk; clocks may run a little fast. */
const SURELY_KEPT_MS = 0.9 * TIMES.replicationWaitMs;

/**
 * The promise without a quorum: what was answered with Done is on a disk, unless that took longer than the answer may
 * wait; and it is part of any cluster that a node which has it is part of. Here no disk is ever destroyed, so in the end
 * all of it is there, whatever partitions and crashes came between.
 */
export const noWishLost: Invariant = {
  name: KEPT,
  meaning:
    'An instance whose creation was answered with Done is there until somebody wants it away, unless every node that has it is down, or died before its disk, which was too slow for the answer, had it.',
  kind: 'safety',
  watch(world) {
    interface Wish {
      readonly instance: InstanceRecord;
      /** Whose state had it when it was answered. */
      readonly holders: ReadonlySet<Process>;
      wasDurable: boolean;
    }
    const wishes = new Map<InstanceId, Wish>();
    /** When a master took it into its log. */
    const stored = new Map<InstanceId, number>();
    const unwanted = new Set<InstanceId>();
    const forgotten = new Map<NodeId, number>();
    const noteDurable = () => {
      for (const [instanceId, wish] of wishes) {
        wish.wasDurable ||= world.machines.some(({ disk }) => disk.knows(instanceId));
      }
    };
    return {
      crashed: noteDurable,
      looked: noteDurable,
      handled(_process, _input, outputs) {
        for (const output of outputs) {
          if (output.kind !== 'StoreEntry' || output.entry.event.kind !== 'InstanceCreated') continue;
          const { instanceId } = output.entry.event.instance;
          if (!stored.has(instanceId)) stored.set(instanceId, world.time.now);
        }
      },
      commandIssued({ command, issuedAt, timeoutMs }) {
        if (command.kind === 'DeleteInstance') unwanted.add(command.instanceId);
        if (command.kind !== 'ForgetNode') return;
        forgotten.set(command.nodeId, Math.max(forgotten.get(command.nodeId) ?? 0, issuedAt + timeoutMs));
        for (const [instanceId, { instance }] of wishes) {
          if (instance.shards.some(({ nodeId }) => nodeId === command.nodeId)) unwanted.add(instanceId);
        }
      },
      commandEnded(_process, key, answer) {
        const issued = world.user.issued(key);
        if (issued?.command.kind !== 'CreateInstance' || 'fault' in answer) return;
        const { instance } = issued.command;
        const { instanceId } = instance;
        if (instance.shards.some(({ nodeId }) => (forgotten.get(nodeId) ?? -1) >= issued.issuedAt)) return;
        const holders = world.processes.filter(({ core }) => core.state.instances.has(instanceId));
        const storedAt = stored.get(instanceId) ?? Number.POSITIVE_INFINITY;
        const isKept = holders.length > 0 || world.machines.some(({ disk }) => disk.knows(instanceId));
        if (!isKept && !unwanted.has(instanceId) && world.time.now - storedAt < SURELY_KEPT_MS) {
          throw new Violation(KEPT, `${instanceId} is said to be created, and nobody has it`);
        }
        wishes.set(instanceId, { instance, holders: new Set(holders), wasDurable: false });
        noteDurable();
      },
      settled() {
        const state = stateOfMaster(world);
        for (const [instanceId, { holders, wasDurable }] of wishes) {
          if (unwanted.has(instanceId) || state?.instances.has(instanceId) !== false) continue;
          if (isKnownToDown(world, ({ disk }) => disk.load().state.instances.has(instanceId))) continue;
          if (!wasDurable && ![...holders].some(({ isAlive }) => isAlive)) continue;
          throw new Violation(KEPT, `instance ${instanceId} was wanted, and is nowhere`);
        }
      },
    };
  },
};

export const noDeletionUndone: Invariant = {
  name: DELETED,
  meaning:
    'An instance whose deletion was answered with Done does not come back, unless every node that knows of it is down, or lost it with a disk that took nothing.',
  kind: 'safety',
  watch(world) {
    const deleted = new Map<InstanceId, ReadonlySet<Process>>();
    return {
      commandEnded(_process, key, answer) {
        const issued = world.user.issued(key);
        if (issued?.command.kind !== 'DeleteInstance' || 'fault' in answer) return;
        const { instanceId } = issued.command;
        const holders = world.processes.filter(({ core }) =>
          core.state.deletedInstances.includes(instanceId),
        );
        deleted.set(instanceId, new Set(holders));
      },
      settled() {
        const state = stateOfMaster(world);
        for (const [instanceId, holders] of deleted) {
          if (state?.instances.has(instanceId) !== true) continue;
          const knows = ({ disk }: Machine) => disk.load().state.deletedInstances.includes(instanceId);
          if (isKnownToDown(world, knows)) continue;
          if (![...holders].some((holder) => holder.isAlive || holder.machine.disk.knewDeleted(instanceId)))
            continue;
          throw new Violation(DELETED, `instance ${instanceId} was deleted, and is back`);
        }
      },
    };
  },
};

function stateOfMaster(world: World) {
  return world.processes.find(({ core }) => core.role === 'master')?.core.state;
}

function isKnownToDown(world: World, knows: (machine: Machine) => boolean): boolean {
  return world.machines.some((machine) => machine.process === null && knows(machine));
}
