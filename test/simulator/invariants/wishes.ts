import type { ClusterCommand } from '../../../src/control/cluster/commands.js';
import type { ControlEvent } from '../../../src/control/events.js';
import type { ClusterState } from '../../../src/control/state.js';
import type { NodeId } from '../../../src/shared/ids.js';
import { TIMES } from '../../../src/shared/limits.js';
import type { Machine, Process } from '../machine.js';
import type { World } from '../world.js';
import { type Invariant, Violation } from './contract.js';

/** An answer that comes sooner than this rests on a disk; clocks may run a little fast. */
const SURELY_KEPT_MS = 0.9 * TIMES.replicationWaitMs;

/** What people make and take back: instances by hand, and MetaInstances. */
interface Kind {
  readonly what: string;
  /** What the command makes, and the nodes that it needs. */
  readonly made: (
    command: ClusterCommand,
  ) => { readonly id: string; readonly nodeIds: readonly NodeId[] } | null;
  readonly taken: (command: ClusterCommand) => string | null;
  readonly stored: (event: ControlEvent) => string | null;
  readonly isIn: (state: ClusterState, id: string) => boolean;
  readonly isDeletedIn: (state: ClusterState, id: string) => boolean;
}

const INSTANCES: Kind = {
  what: 'instance',
  made: (command) =>
    command.kind === 'CreateInstance'
      ? {
          id: command.instance.instanceId,
          nodeIds: command.instance.shards.map(({ nodeId }) => nodeId),
        }
      : null,
  taken: (command) => (command.kind === 'DeleteInstance' ? command.instanceId : null),
  stored: (event) => (event.kind === 'InstanceCreated' ? event.instance.instanceId : null),
  isIn: ({ instances }, id) => instances.has(id as never),
  isDeletedIn: ({ deletedInstances }, id) => deletedInstances.includes(id as never),
};

const META_INSTANCES: Kind = {
  what: 'MetaInstance',
  made: (command) =>
    command.kind === 'CreateMetaInstance' ? { id: command.metaInstance.metaInstanceId, nodeIds: [] } : null,
  taken: (command) => (command.kind === 'DeleteMetaInstance' ? command.metaInstanceId : null),
  stored: (event) => (event.kind === 'MetaInstanceCreated' ? event.metaInstance.metaInstanceId : null),
  isIn: ({ metaInstances }, id) => metaInstances.has(id as never),
  isDeletedIn: ({ deletedMetaInstances }, id) => deletedMetaInstances.includes(id as never),
};

/**
 * The promise without a quorum: what was answered with Done is on a disk, unless that took longer than the answer may
 * wait; and it is part of any cluster that a node which has it is part of. Here no disk is ever destroyed, so in the end
 * all of it is there, whatever partitions and crashes came between.
 */
function kept(name: string, { what, made, taken, stored, isIn }: Kind): Invariant {
  return {
    name,
    meaning: `What was answered with Done, a new ${what}, is there until somebody wants it away, unless every node that has it is down, or died before its disk, which was too slow for the answer, had it.`,
    kind: 'safety',
    watch(world) {
      interface Wish {
        readonly nodeIds: readonly NodeId[];
        /** Whose state had it when it was answered. */
        readonly holders: ReadonlySet<Process>;
        wasDurable: boolean;
      }
      const wishes = new Map<string, Wish>();
      /** When a master took it into its log. */
      const storedAt = new Map<string, number>();
      const unwanted = new Set<string>();
      const forgotten = new Map<NodeId, number>();
      const noteDurable = () => {
        for (const [id, wish] of wishes)
          wish.wasDurable ||= world.machines.some(({ disk }) => disk.knows(id));
      };
      const noteForgotten = (nodeId: NodeId, until: number) => {
        forgotten.set(nodeId, Math.max(forgotten.get(nodeId) ?? 0, until));
        for (const [id, { nodeIds }] of wishes) if (nodeIds.includes(nodeId)) unwanted.add(id);
      };
      return {
        crashed: noteDurable,
        looked: noteDurable,
        handled({ core }, _input, outputs) {
          for (const output of outputs) {
            if (output.kind !== 'StoreEntry') continue;
            const { event } = output.entry;
            const id = stored(event);
            if (id !== null && !storedAt.has(id)) storedAt.set(id, world.time.now);
            // What was asked for through a cable that was cut arrives when that is whole again.
            if (event.kind === 'NodeForgotten' && core.role === 'master' && forgotten.has(event.nodeId)) {
              noteForgotten(event.nodeId, world.time.now);
            }
          }
        },
        commandIssued({ command, issuedAt, timeoutMs }) {
          const takenId = taken(command);
          if (takenId !== null) unwanted.add(takenId);
          if (command.kind === 'ForgetNode') noteForgotten(command.nodeId, issuedAt + timeoutMs);
        },
        commandEnded(_process, key, answer) {
          const issued = world.user.issued(key);
          const wish = issued === undefined ? null : made(issued.command);
          if (issued === undefined || wish === null || 'fault' in answer || wishes.has(wish.id)) return;
          const { id, nodeIds } = wish;
          if (nodeIds.some((nodeId) => (forgotten.get(nodeId) ?? -1) >= issued.issuedAt)) return;
          const holders = world.processes.filter(({ core }) => isIn(core.state, id));
          const since = storedAt.get(id) ?? Number.POSITIVE_INFINITY;
          const isKept = holders.length > 0 || world.machines.some(({ disk }) => disk.knows(id));
          if (!isKept && !unwanted.has(id) && world.time.now - since < SURELY_KEPT_MS) {
            throw new Violation(name, `${what} ${id} is said to be created, and nobody has it`);
          }
          wishes.set(id, { nodeIds, holders: new Set(holders), wasDurable: false });
          noteDurable();
        },
        settled() {
          const state = stateOfMaster(world);
          for (const [id, { holders, wasDurable }] of wishes) {
            if (state === undefined || unwanted.has(id) || isIn(state, id)) continue;
            if (isKnownToDown(world, ({ disk }) => isIn(disk.load().state, id))) continue;
            if (!wasDurable && ![...holders].some(({ isAlive }) => isAlive)) continue;
            throw new Violation(name, `${what} ${id} was wanted, and is nowhere`);
          }
        },
      };
    },
  };
}

function deletedForGood(name: string, { what, taken, isIn, isDeletedIn }: Kind): Invariant {
  return {
    name,
    meaning: `A deletion that was answered with Done is not undone: the ${what} does not come back, unless every node that knows of it is down, or lost it with a disk that took nothing.`,
    kind: 'safety',
    watch(world) {
      const deleted = new Map<string, ReadonlySet<Process>>();
      return {
        commandEnded(_process, key, answer) {
          const issued = world.user.issued(key);
          const id = issued === undefined ? null : taken(issued.command);
          if (id === null || 'fault' in answer) return;
          deleted.set(id, new Set(world.processes.filter(({ core }) => isDeletedIn(core.state, id))));
        },
        settled() {
          const state = stateOfMaster(world);
          for (const [id, holders] of deleted) {
            if (state === undefined || !isIn(state, id)) continue;
            if (isKnownToDown(world, ({ disk }) => isDeletedIn(disk.load().state, id))) continue;
            if (![...holders].some((holder) => holder.isAlive || holder.machine.disk.knewDeleted(id)))
              continue;
            throw new Violation(name, `${what} ${id} was deleted, and is back`);
          }
        },
      };
    },
  };
}

export const noWishLost = kept('no-wish-lost', INSTANCES);
export const noDeletionUndone = deletedForGood('no-deletion-undone', INSTANCES);
export const noMetaInstanceLost = kept('no-meta-instance-lost', META_INSTANCES);
export const noMetaInstanceBack = deletedForGood('no-meta-instance-back', META_INSTANCES);

function stateOfMaster(world: World): ClusterState | undefined {
  return world.processes.find(({ core }) => core.role === 'master')?.core.state;
}

function isKnownToDown(world: World, knows: (machine: Machine) => boolean): boolean {
  return world.machines.some((machine) => machine.process === null && knows(machine));
}
