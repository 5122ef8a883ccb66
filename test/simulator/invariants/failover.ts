/** The death of the master of a healthy cluster: watched by the course of a simulation, which brings it about. */
import type { World } from '../world.js';
import { type Invariant, Violation } from './contract.js';

const FAILOVER_MS = 3_000;
const BACK_MS = 2_000;

const NO_WATCH = () => ({});

export const masterReplaced: Invariant = {
  name: 'master-replaced',
  meaning: 'When the master of a healthy cluster dies, all others follow one new master within 3 s.',
  kind: 'liveness',
  watch: NO_WATCH,
};

export const masterStays: Invariant = {
  name: 'master-stays',
  meaning: 'A node that comes, or comes back, never takes the rule from a healthy master.',
  kind: 'safety',
  watch: NO_WATCH,
};

export const streamsUndisturbed: Invariant = {
  name: 'streams-undisturbed',
  meaning: 'The death of the master ends no request that neither came through it nor ran on it.',
  kind: 'safety',
  watch: (world) => ({
    handled({ name, api }, _input, outputs) {
      if (world.lostNode === null) return;
      for (const output of outputs) {
        if (output.kind !== 'TaskEnded') continue;
        const assignment = api.open.get(output.taskId)?.assignment;
        const isTouched = assignment === null || assignment?.nodeId === world.lostNode;
        const { code, message } = output.fault;
        if (isTouched || code === 'deadline_exceeded' || code === 'cancelled') continue;
        throw new Violation('streams-undisturbed', `${name} ends ${output.taskId}: ${message}`);
      }
    },
  }),
};

/** Kills the master and starts it again. Returns how long the others were without, or null when there are none. */
export function killMaster(world: World, pass: (ms: number) => void): number | null {
  const { time, machines } = world;
  const master = machines.find(({ process }) => process?.core.role === 'master');
  if (master === undefined || machines.length < 2) return null;
  const since = time.now;
  world.lostNode = master.id;
  world.user.isActive = true;
  master.crash();
  while (!hasOneMaster(world)) {
    if (time.now - since >= FAILOVER_MS) {
      const roles = world.processes.map(({ name, core }) => `${name} ${core.role}`).join(', ');
      throw new Violation(masterReplaced.name, `${FAILOVER_MS} ms after the death of the master: ${roles}`);
    }
    pass(50);
  }
  const failoverMs = time.now - since;
  world.user.isActive = false;
  const next = world.processes.find(({ core }) => core.role === 'master');
  master.start();
  pass(BACK_MS);
  world.lostNode = null;
  if (next?.core.role !== 'master') {
    throw new Violation(masterStays.name, `${next?.name} lost the rule to a node that came back`);
  }
  return failoverMs;
}

function hasOneMaster({ processes }: World): boolean {
  const masters = processes.filter(({ core }) => core.role === 'master');
  return masters.length === 1 && processes.every(({ core }) => core.isUpToDate);
}
