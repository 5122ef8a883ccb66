/** From settings to a model that computes: the engine's self-test, the load, and a first step. */
import type { Engine, SliceSums } from '../engine/contract.js';
import { type OpenModel, openLlamaModel } from '../engine/llama/open.js';
import { openLlamaShard } from '../engine/llama/shard/open.js';
import { openTensorSlice, sliceSumFloats } from '../engine/llama/slice/open.js';
import { selfTest } from '../engine/selfTest/selfTest.js';
import { shardSelfTest } from '../engine/selfTest/shardSelfTest.js';
import { sliceSelfTest } from '../engine/selfTest/sliceSelfTest.js';
import { ShoalError } from '../shared/errors.js';
import { ENGINE } from '../shared/limits.js';
import type { RunnerPart, RunnerSettings } from '../shared/runnerProtocol.js';
import { resolveSampling } from './sampler/parameters.js';
import { seedKey } from './sampler/random.js';
import type { StepMachine } from './step/contract.js';

/** More sequence slots than this the engine does not offer. */
const MOST_SLOTS = 256;

/** Called with the share done, 0 to 1; false ends the load with `cancelled`. */
export type OnProgress = (fraction: number) => boolean;

/**
 * Checks the engine on this machine and loads the model, with slots for the prefix cache beside those that run.
 * @throws {ShoalError} `engine_unavailable`, `model_unsupported`, `model_load_failed` or `cancelled`
 */
export function loadModel(settings: RunnerSettings, onProgress: OnProgress): OpenModel {
  selfTest();
  return openLlamaModel(engineOptions(settings, onProgress));
}

/**
 * Checks the engine and the plan of the shards on this machine, and loads the layers of one rank and nothing else.
 * @throws {ShoalError} as `loadModel`; `sharding_unsupported` for a plan that this model or this machine cannot take
 */
export function loadShard(settings: RunnerSettings, part: RunnerPart, onProgress: OnProgress): Engine {
  const layers = part.layers[part.rank];
  if (layers === undefined || part.layers.length !== part.worldSize) {
    throw new ShoalError('sharding_unsupported', `No layers are planned for rank ${part.rank}.`);
  }
  selfTest();
  shardSelfTest({ modelPath: settings.modelPath, shards: part.layers, onStep: () => onProgress(0) });
  return openLlamaShard({ ...engineOptions(settings, onProgress), layers });
}

/**
 * Checks the engine and the plan of the slices on this machine, and loads one rank's slice of every layer.
 * @throws {ShoalError} as `loadModel`; `sharding_unsupported` for a plan that this model or this machine cannot take
 */
export function loadSlice(
  settings: RunnerSettings,
  { rank, worldSize }: RunnerPart,
  sums: SliceSums,
  onProgress: OnProgress,
): Engine {
  selfTest();
  sliceSelfTest({ modelPath: settings.modelPath, worldSize });
  return openTensorSlice({ ...engineOptions(settings, onProgress), rank, worldSize, allReduce: sums });
}

/** Floats that the sums of a slice take. */
export function sumFloats(settings: RunnerSettings): number {
  return sliceSumFloats(engineOptions(settings, () => true));
}

/** The same for all ranks of a model, so that there is room on all of them or on none. */
function engineOptions(settings: RunnerSettings, onProgress: OnProgress) {
  return {
    modelPath: settings.modelPath,
    batchRows: settings.sequences + settings.prefillChunkTokens,
    outputRows: settings.sequences,
    sequences: Math.min(settings.sequences + ENGINE.prefixCacheEntries, MOST_SLOTS),
    cells: settings.cacheCells,
    threads: settings.threads,
    gpuLayers: settings.gpuLayers,
    onProgress,
  };
}

/**
 * Computes one token and forgets it: memory is touched, kernels are loaded, and a model whose file is damaged shows.
 * @param wait until there may be an outcome; not called where steps have theirs at once
 * @throws {ShoalError} `model_load_failed` when that gives no numbers
 */
export function warmUp(machine: StepMachine, wait: (isThere: () => boolean) => void = () => undefined): void {
  const sampling = resolveSampling({ seed: 0, temperature: 0 }, {}, 1);
  const known = new Int32Array(0);
  machine.begin(0, { sampling, key: seedKey(0, 0), forbidden: [], prompt: null, topLogprobs: null, known });
  let outcome = machine.submit({
    input: {
      tokens: Int32Array.of(0),
      hidden: null,
      positions: Int32Array.of(0),
      sequences: Int32Array.of(0),
      outputs: Uint8Array.of(1),
    },
    draws: [[0]],
  });
  wait(() => {
    outcome ??= machine.take();
    return outcome !== null;
  });
  if (outcome?.kind === 'failed') throw outcome.error;
  if (outcome?.kind !== 'drawn' || outcome.drawn[0]?.kind !== 'token') {
    throw new ShoalError('model_load_failed', 'The model computes no numbers; its file may be damaged.');
  }
  machine.truncate(0, 0);
}
