import type { NodeInput } from '../../../src/control/cluster/ports.js';
import { runningTasks } from '../../../src/control/instances.js';
import { takenMemory } from '../../../src/control/placement/takenMemory.js';
import type { ClusterState, InstanceRecord } from '../../../src/control/state.js';
import { isSurplus } from '../../../src/control/wishInstances.js';
import { type Invariant, Violation } from './contract.js';

const NAME = 'memory-given-once';

/**
 * What was made by hand on two sides of a partition stays as its makers want it, and one of two instances of a wish until
 * it has answered: the worker of its node starts nothing there before it is gone.
 */
const isToFit = (state: ClusterState, instance: InstanceRecord): boolean =>
  instance.metaInstanceId !== null &&
  !(isSurplus(state, instance) && runningTasks(state, instance.instanceId) > 0);

function tellsOfOthers(input: NodeInput): boolean {
  if (input.kind !== 'Received') return false;
  const { message } = input;
  return 'facts' in (message.kind === 'Relay' ? message.message : message);
}

export const memoryGivenOnce: Invariant = {
  name: NAME,
  meaning:
    'No master makes an instance where, as it knows the nodes, there is no room for it; and when the nodes agree, no declared instances together have more than their node offers.',
  kind: 'safety',
  watch(world) {
    return {
      handled({ core, name }, input, outputs) {
        // What others tell of was placed by them, on what they knew.
        if (core.role !== 'master' || tellsOfOthers(input)) return;
        for (const output of outputs) {
          if (output.kind !== 'StoreEntry' || output.entry.event.kind !== 'InstanceCreated') continue;
          const { instance } = output.entry.event;
          if (!core.state.instances.has(instance.instanceId)) continue;
          const taken = takenMemory(core.state.instances.values());
          for (const { nodeId } of instance.shards) {
            const offered = core.state.nodes.get(nodeId)?.memoryBytes ?? 0;
            const wanted = taken.get(nodeId) ?? 0;
            if (wanted <= offered) continue;
            throw new Violation(
              NAME,
              `${name} makes ${instance.instanceId}: ${wanted} of ${offered} on ${nodeId}`,
            );
          }
        }
      },
      settled() {
        for (const { core, name } of world.processes) {
          const { state } = core;
          const taken = takenMemory([...state.instances.values()].filter((one) => isToFit(state, one)));
          for (const { nodeId, status, memoryBytes } of state.nodes.values()) {
            const wanted = taken.get(nodeId) ?? 0;
            if (status === 'dead' || wanted <= memoryBytes) continue;
            throw new Violation(NAME, `as ${name} has it, ${nodeId} gives ${wanted} of ${memoryBytes} bytes`);
          }
        }
      },
    };
  },
};
