import type { AssignTask } from '../../../src/control/cluster/commands.js';
import type { ControlEvent } from '../../../src/control/events.js';
import { instanceStatus, runningTasks } from '../../../src/control/instances.js';
import { firstShard } from '../../../src/control/routing.js';
import type { InstanceRecord } from '../../../src/control/state.js';
import { isSurplus } from '../../../src/control/wishInstances.js';
import type { InstanceId } from '../../../src/shared/ids.js';
import { LIMITS } from '../../../src/shared/limits.js';
import type { Process } from '../machine.js';
import { type Invariant, Violation } from './contract.js';

const HEALTHY = 'healthy-routing';
const BALANCED = 'balanced-routing';

interface Decision {
  readonly instance: InstanceRecord;
  readonly command: AssignTask;
  /** What was made or started anew later in the same turn: the choice was made without it. */
  readonly later: ReadonlySet<InstanceId>;
}

/** Calls back with each task that this master has just assigned by its own choice. */
function decided(check: (process: Process, decision: Decision) => void): Invariant['watch'] {
  return () => ({
    handled(process, input, outputs) {
      const { core, machine } = process;
      if (core.role !== 'master') return;
      if (input.kind !== 'Received' || input.message.kind !== 'Command') return;
      const { command } = input.message;
      if (command.kind !== 'AssignTask') return;
      const events = outputs.flatMap((output) => (output.kind === 'StoreEntry' ? [output.entry.event] : []));
      for (const [at, event] of events.entries()) {
        if (event.kind !== 'TaskAssigned') continue;
        const instance = core.state.instances.get(event.task.instanceId);
        if (instance === undefined) throw new Violation(HEALTHY, `${machine.id} assigns to no instance`);
        check(process, { instance, command, later: new Set(events.slice(at).flatMap(startedBy)) });
      }
    },
  });
}

function startedBy(event: ControlEvent): InstanceId[] {
  if (event.kind === 'InstanceCreated') return [event.instance.instanceId];
  return event.kind === 'InstanceRetrying' ? [event.instanceId] : [];
}

export const healthyRouting: Invariant = {
  name: HEALTHY,
  meaning: 'A master never chooses an instance that has, in its own state, a failed runner or a dead node.',
  kind: 'safety',
  watch: decided(({ core, name }, { instance }) => {
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
  watch: decided(({ core, name }, { instance: chosen, command: { unreachable, avoid }, later }) => {
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
        later.has(other.instanceId) ||
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
