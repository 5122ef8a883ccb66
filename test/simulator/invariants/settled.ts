/** What holds when the faults have been over for a while: one cluster, which is as it wants to be. */
import { restartsAsWhole, runnersOf } from '../../../src/control/instances.js';
import type { ClusterState, InstanceRecord } from '../../../src/control/state.js';
import { TIMES } from '../../../src/shared/limits.js';
import type { World } from '../world.js';
import { type Invariant, Violation } from './contract.js';
import { DECLARED_CHECKS } from './declared.js';
import { positionKey } from './logs.js';
import type { SettledCheck } from './settledChecks.js';

/** Facts younger than this may still be on their way. */
const NEWS_MS = 2 * TIMES.reportRetryMs;

const oneMaster: SettledCheck = {
  name: 'one-master',
  meaning: 'All nodes that live follow one master, with its log.',
  problem({ processes }) {
    const masters = processes.filter(({ core }) => core.role === 'master');
    if (processes.length === 0) return null;
    if (masters.length !== 1) return `${masters.map(({ name }) => name).join(', ') || 'nobody'} rules`;
    const epoch = masters[0]?.core.epoch;
    for (const { name, core } of processes) {
      if (!core.isUpToDate) return `${name} is ${core.role} and not up to date`;
      const isSame = core.epoch?.nodeId === epoch?.nodeId && core.epoch?.term === epoch?.term;
      if (!isSame) return `${name} follows ${JSON.stringify(core.epoch)}, and ${JSON.stringify(epoch)} rules`;
    }
    return null;
  },
};

const sameLog: SettledCheck = {
  name: 'same-log',
  meaning: 'The logs of all nodes that live end at the same entry.',
  problem({ processes }) {
    const [first, ...rest] = processes;
    for (const { name, core } of rest) {
      const [own, other] = [
        positionKey(core.position),
        positionKey((first as (typeof rest)[0]).core.position),
      ];
      if (own !== other) return `${name} is at ${own}, ${first?.name} at ${other}`;
    }
    return null;
  },
};

const nodesKnown: SettledCheck = {
  name: 'nodes-known',
  meaning: 'The state has each node that lives as alive in its present life, and each other one as dead.',
  problem({ processes, machines }) {
    for (const { name, core } of processes) {
      for (const { id, process } of machines) {
        const node = core.state.nodes.get(id);
        if (process !== null && node?.incarnation !== process.node.incarnation) {
          return `${name} knows life ${node?.incarnation} of ${process.name}`;
        }
        const wanted = process === null ? 'dead' : 'alive';
        if ((node?.status ?? 'dead') !== wanted) return `${name} has ${id} as ${node?.status}`;
      }
    }
    return null;
  },
};

const workersMatch: SettledCheck = {
  name: 'wanted-is-actual',
  meaning:
    'Each node runs exactly the runners that the state places on it, and nothing is left of a declared instance of which a runner has failed.',
  problem({ processes }) {
    for (const { name, core, worker, machine } of processes) {
      const wanted = new Set<string>();
      for (const instance of core.state.instances.values()) {
        const { shards } = instance;
        if (isHalf(core.state, instance)) continue;
        for (const { nodeId, runnerId } of shards) if (nodeId === machine.id) wanted.add(runnerId);
      }
      for (const runnerId of wanted) {
        if (![...worker.runners.keys()].includes(runnerId as never))
          return `${name} does not run ${runnerId}`;
      }
      for (const runnerId of worker.runners.keys()) {
        if (!wanted.has(runnerId)) return `${name} runs ${runnerId}, which nobody wants`;
      }
    }
    return null;
  },
};

/** Declared, and failed in a part: the others are stopped, and the master has all started anew. */
function isHalf(state: ClusterState, instance: InstanceRecord): boolean {
  if (!restartsAsWhole(instance)) return false;
  return instance.failure !== null || runnersOf(state, instance).some(({ status }) => status === 'failed');
}

const factsKnown: SettledCheck = {
  name: 'facts-known',
  meaning: 'The state shows each runner as its node has it.',
  problem({ processes, time }) {
    for (const { name, core } of processes) {
      for (const other of processes) {
        for (const { runnerId, status, restarts, changedAt } of other.worker.runners.values()) {
          const known = core.state.runners.get(runnerId);
          if (known?.status === status && known.restarts === restarts) continue;
          if (time.now - changedAt < NEWS_MS) continue;
          return `${name} has ${runnerId} as ${known?.status}, and on ${other.name} it is ${status}`;
        }
      }
    }
    return null;
  },
};

const noTaskLeaks: SettledCheck = {
  name: 'no-task-leaks',
  meaning:
    'The tasks that the state has as running are the requests that are placed and open, so none when none is.',
  problem({ processes }) {
    const open = new Set<string>();
    for (const { api } of processes) {
      for (const { assignment } of api.open.values()) if (assignment !== null) open.add(assignment.taskId);
    }
    for (const { name, core } of processes) {
      let count = 0;
      for (const tasks of core.state.tasks.values()) {
        if (tasks.size === 0) return `${name} keeps an empty list of tasks`;
        for (const taskId of tasks.keys()) {
          if (!open.has(taskId)) return `${name} has ${taskId} as running, which has ended`;
          count += 1;
        }
      }
      const gone = new Set([...open].filter((taskId) => isUncounted(processes, taskId)));
      if (count !== open.size - gone.size) return `${name} counts ${count} tasks of ${open.size - gone.size}`;
      const seen = new Set<string>();
      for (const { taskId } of core.state.finishedTasks) {
        if (seen.has(taskId)) return `${name} has two ends of ${taskId}`;
        seen.add(taskId);
      }
    }
    return null;
  },
};

/** Its instance is deleted, or its end was decided while its node was away: its stream goes on to its own end. */
function isUncounted(processes: World['processes'], taskId: string): boolean {
  return processes.some(({ api, core }) => {
    const assignments = [...api.open.values()].map(({ assignment }) => assignment);
    const assignment = assignments.find((one) => one?.taskId === taskId);
    if (assignment === null || assignment === undefined) return false;
    const isDecided = core.state.finishedTasks.some((finished) => finished.taskId === taskId);
    return isDecided || !core.state.instances.has(assignment.instanceId);
  });
}

export const SETTLED_CHECKS: readonly SettledCheck[] = [
  oneMaster,
  sameLog,
  nodesKnown,
  workersMatch,
  factsKnown,
  noTaskLeaks,
  ...DECLARED_CHECKS,
];

export const settledInvariants: readonly Invariant[] = SETTLED_CHECKS.map(({ name, meaning, problem }) => ({
  name,
  meaning: `${meaning} Within the bound after the last fault.`,
  kind: 'liveness',
  watch: (world) => ({
    settled() {
      const found = problem(world);
      if (found !== null) throw new Violation(name, found);
    },
  }),
}));
