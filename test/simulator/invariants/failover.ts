/** The loss of the master of a healthy cluster: watched by the course of a simulation, which brings it about. */
import { hasProspect } from '../../../src/control/prospects.js';
import type { Process } from '../machine.js';
import type { World } from '../world.js';
import { type Invariant, Violation } from './contract.js';

const FAILOVER_MS = 3_000;
const BACK_MS = 2_000;

const NO_WATCH = () => ({});

export const masterReplaced: Invariant = {
  name: 'master-replaced',
  meaning:
    'When the master of a healthy cluster dies or stands still, all others follow one new master within 3 s.',
  kind: 'liveness',
  watch: NO_WATCH,
};

export const masterStays: Invariant = {
  name: 'master-stays',
  meaning: 'A node that comes, or comes back, or goes on, never takes the rule from a healthy master.',
  kind: 'safety',
  watch: NO_WATCH,
};

export const streamsUndisturbed: Invariant = {
  name: 'streams-undisturbed',
  meaning: 'The loss of the master ends no request that neither came through it nor ran on it.',
  kind: 'safety',
  watch: (world) => ({
    handled({ name, api, core }, _input, outputs) {
      if (world.lostNode === null) return;
      for (const output of outputs) {
        if (output.kind !== 'TaskEnded') continue;
        const request = api.open.get(output.taskId);
        // Somebody took back what served it, and nothing else will.
        if (request !== undefined && !hasProspect(core.state, request.modelId)) continue;
        const assignment = request?.assignment;
        const isTouched = assignment === null || assignment?.nodeId === world.lostNode;
        const { code, message } = output.fault;
        if (isTouched || code === 'deadline_exceeded' || code === 'cancelled') continue;
        // What is wrong with the sequence itself ends it, whoever rules, or that the last of several runners has died with
        // it (`answers-survive` counts them); and so does the deletion of its model.
        const modelId = api.open.get(output.taskId)?.modelId;
        if (
          code === 'engine_error' ||
          code === 'runner_failed' ||
          (modelId !== undefined && !hasProspect(core.state, modelId))
        )
          continue;
        throw new Violation('streams-undisturbed', `${name} ends ${output.taskId}: ${message}`);
      }
    },
  }),
};

/**
 * Kills the master and starts it again, or has it stand still for a while. Returns how long the others were without,
 * or null when there are none.
 */
export function loseMaster(world: World, isPause: boolean, pass: (ms: number) => void): number | null {
  const { time, machines } = world;
  const master = machines.find(({ process }) => process?.core.role === 'master');
  if (master === undefined || machines.length < 2) return null;
  const since = time.now;
  world.lostNode = master.id;
  world.user.isActive = true;
  if (isPause) master.pause(false);
  else master.crash();
  while (!hasOneMaster(world)) {
    if (time.now - since >= FAILOVER_MS) {
      const roles = world.processes.map(({ name, core }) => `${name} ${core.role}`).join(', ');
      throw new Violation(masterReplaced.name, `${FAILOVER_MS} ms after the death of the master: ${roles}`);
    }
    pass(50);
  }
  const failoverMs = time.now - since;
  world.user.isActive = false;
  const next = othersOf(world).find(({ core }) => core.role === 'master');
  if (isPause) master.resume();
  else master.start();
  pass(BACK_MS);
  world.lostNode = null;
  if (next?.core.role !== 'master') {
    throw new Violation(masterStays.name, `${next?.name} lost the rule to a node that came back`);
  }
  return failoverMs;
}

function hasOneMaster(world: World): boolean {
  const others = othersOf(world);
  const masters = others.filter(({ core }) => core.role === 'master');
  return (
    masters.length === 1 &&
    others.every(({ core }) => core.epoch?.nodeId === masters[0]?.machine.id && core.isUpToDate)
  );
}

function othersOf({ processes, lostNode }: World): Process[] {
  return processes.filter(({ machine }) => machine.id !== lostNode);
}
