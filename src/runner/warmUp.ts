/**
 * Computes one token and forgets it: memory is touched, kernels are loaded, and a model whose file is damaged shows.
 */
import type { StepInput } from '../engine/contract.js';
import { ShoalError } from '../shared/errors.js';
import { resolveSampling } from './sampler/parameters.js';
import { seedKey } from './sampler/random.js';
import type { BatchComputer } from './scheduler/batchComputer.js';
import type { Draw } from './scheduler/drawer.js';

/** No sequence of a request has this number. */
const NUMBER = -1;

const ROWS: StepInput = {
  tokens: Int32Array.of(0),
  hidden: null,
  positions: Int32Array.of(0),
  sequences: Int32Array.of(0),
  outputs: Uint8Array.of(1),
};

const DRAW: Draw = {
  sequence: NUMBER,
  output: 0,
  position: 1,
  drawing: {
    sampling: resolveSampling({ seed: 0, temperature: 0 }, {}, 1),
    key: seedKey(0, 0),
    forbidden: [],
    topLogprobs: 0,
    prompt: [],
    known: [],
  },
};

/**
 * @param wait blocks until the condition holds
 * @throws {ShoalError} `model_load_failed` when the model gives no numbers
 */
export function warmUp(computer: BatchComputer, wait: (condition: () => boolean) => void): void {
  computer.submit(ROWS, [DRAW]);
  let drawn = computer.take();
  wait(() => {
    drawn ??= computer.take();
    return drawn !== null;
  });
  const [token] = drawn ?? [];
  if (token === undefined || 'fault' in token || Number.isNaN(token.chance?.logprob)) {
    throw new ShoalError('model_load_failed', 'The model computes no numbers; its file may be damaged.');
  }
  computer.forget(NUMBER);
  computer.cells.truncate(0, 0);
}
