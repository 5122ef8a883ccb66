import type { NodeInput } from '../../../src/control/cluster/ports.js';
import { takenMemory } from '../../../src/control/placement/takenMemory.js';
import type { InstanceRecord } from '../../../src/control/state.js';
import { type Invariant, Violation } from './contract.js';

const NAME = 'memory-given-once';

/** What was made by hand on two sides of a partition stays as its makers want it; what the master places does not. */
const isDeclared = ({ metaInstanceId }: InstanceRecord): boolean => metaInstanceId !== null;

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
          const taken = takenMemory([...core.state.instances.values()].filter(isDeclared));
          for (const { nodeId, status, memoryBytes } of core.state.nodes.values()) {
            const wanted = taken.get(nodeId) ?? 0;
            if (status === 'dead' || wanted <= memoryBytes) continue;
            throw new Violation(NAME, `as ${name} has it, ${nodeId} gives ${wanted} of ${memoryBytes} bytes`);
          }
        }
      },
    };
  },
};
