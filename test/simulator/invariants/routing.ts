import type { AssignTask } from '../../../src/control/cluster/commands.js';
import { instanceStatus, runningTasks } from '../../../src/control/instances.js';
import { firstShard } from '../../../src/control/routing.js';
import type { InstanceRecord } from '../../../src/control/state.js';
import { isSurplus } from '../../../src/control/wishInstances.js';
import { LIMITS } from '../../../src/shared/limits.js';
import type { Process } from '../machine.js';
import { type Invariant, Violation } from './contract.js';

const HEALTHY = 'healthy-routing';
const BALANCED = 'balanced-routing';

/** Calls back with each task that this master has just assigned by its own choice. */
function decided(
  check: (process: Process, instance: InstanceRecord, command: AssignTask) => void,
): Invariant['watch'] {
  return () => ({
    handled(process, input, outputs) {
      const { core, machine } = process;
      if (core.role !== 'master') return;
      if (input.kind !== 'Received' || input.message.kind !== 'Command') return;
      const { command } = input.message;
      if (command.kind !== 'AssignTask') return;
      for (const output of outputs) {
        if (output.kind !== 'StoreEntry' || output.entry.event.kind !== 'TaskAssigned') continue;
        const { task } = output.entry.event;
        const instance = core.state.instances.get(task.instanceId);
        if (instance === undefined) throw new Violation(HEALTHY, `${machine.id} assigns to no instance`);
        check(process, instance, command);
      }
    },
  });
}

export const healthyRouting: Invariant = {
  name: HEALTHY,
  meaning: 'A master never chooses an instance that has, in its own state, a failed runner or a dead node.',
  kind: 'safety',
  watch: decided(({ core, name }, instance) => {
    const status = instanceStatus(core.state, instance);
    if (status === 'ready' || status === 'starting') return;
    throw new Violation(HEALTHY, `${name} chooses ${instance.instanceId}, which is ${status}`);
  }),
};

export const balancedRouting: Invariant = {
  name: BALANCED,
  meaning:
    'A master chooses the instance with the fewest tasks among the ready ones, and one that loads only when none is ready.',
  kind: 'safety',
  watch: decided(({ core, name }, chosen, { unreachable, avoid }) => {
    const { state } = core;
    const tasks = runningTasks(state, chosen.instanceId) - 1;
    for (const other of state.instances.values()) {
      const status = instanceStatus(state, other);
      const isCandidate = other.modelId === chosen.modelId && (status === 'ready' || status === 'starting');
      if (!isCandidate || unreachable.includes(firstShard(other).nodeId)) continue;
      const isSafe = other.shards.every(({ nodeId }) => {
        const node = state.nodes.get(nodeId);
        return node?.status === 'alive' && !node.isDraining;
      });
      if (!isSafe) continue;
      const otherTasks = runningTasks(state, other.instanceId);
      const isPreferred = status === 'ready' && instanceStatus(state, chosen) === 'starting';
      const isBusy = otherTasks >= tasks || status !== instanceStatus(state, chosen);
      if (isSurplus(state, other)) continue;
      if (
        other === chosen ||
        other.instanceId === avoid ||
        (isPreferred ? otherTasks >= LIMITS.instanceQueueRequests : isBusy)
      )
        continue;
      throw new Violation(
        BALANCED,
        `${name} chooses ${chosen.instanceId} with ${tasks} tasks before ${other.instanceId} with ${otherTasks}`,
      );
    }
  }),
};
