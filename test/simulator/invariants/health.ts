import { hasProspect } from '../../../src/control/prospects.js';
import type { TaskId } from '../../../src/shared/ids.js';
import { type Invariant, Violation } from './contract.js';

const QUIET = 'quiet-when-healthy';
const SERVED = 'served-when-healthy';

export const quietWhenHealthy: Invariant = {
  name: QUIET,
  meaning: 'In a healthy cluster nobody changes its role, and nobody is suspected.',
  kind: 'safety',
  watch: (world) => ({
    handled({ name }, _input, outputs) {
      if (!world.isHealthy) return;
      for (const output of outputs) {
        if (output.kind === 'RoleChanged')
          throw new Violation(QUIET, `${name} is ${output.role}: ${output.why}`);
        if (output.kind === 'PeerJudged' && output.status !== 'alive') {
          throw new Violation(QUIET, `${name} has ${output.nodeId} as ${output.status}`);
        }
      }
    },
  }),
};

/** Refusals are answers; only the cluster's own troubles are not to be heard of. */
export const servedWhenHealthy: Invariant = {
  name: SERVED,
  meaning:
    'In a healthy cluster no request and no command ends for want of a master or of a node, but for what was deleted.',
  kind: 'liveness',
  watch: (world) => ({
    handled({ name, api, core }, _input, outputs) {
      if (!world.isHealthy) return;
      const isDeleted = (taskId: TaskId) => {
        const modelId = api.open.get(taskId)?.modelId;
        return modelId !== undefined && !hasProspect(core.state, modelId);
      };
      for (const output of outputs) {
        if (output.kind === 'TaskEnded' && isDeleted(output.taskId)) continue;
        if (output.kind !== 'TaskEnded' && output.kind !== 'CommandEnded') continue;
        const answer = output.kind === 'TaskEnded' ? output : output.answer;
        if (!('fault' in answer)) continue;
        const { code, message } = answer.fault;
        if (code === 'not_ready') throw new Violation(SERVED, `${name}: ${message}`);
      }
    },
  }),
};
