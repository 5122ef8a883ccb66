import type { EngineOptions } from '../engine/contract.js';
import { type OpenModel, openLlamaModel } from '../engine/llama/open.js';
import { selfTest } from '../engine/selfTest/selfTest.js';
import { ENGINE } from '../shared/limits.js';
import type { RunnerSettings } from '../shared/runnerProtocol.js';

/** More sequence slots than this the engine does not offer. */
const MOST_SLOTS = 256;

/** With slots for the prefix cache beside those that run. The same on all ranks of a model. */
export function engineCapacity(settings: RunnerSettings): Omit<EngineOptions, 'modelPath'> {
  return {
    batchRows: settings.sequences + settings.prefillChunkTokens,
    outputRows: settings.sequences,
    sequences: Math.min(settings.sequences + ENGINE.prefixCacheEntries, MOST_SLOTS),
    cells: settings.cacheCells,
    threads: settings.threads,
    gpuLayers: settings.gpuLayers,
  };
}

/**
 * Checks the engine on this machine and loads the model.
 * @param onProgress called with the share done, 0 to 1; false ends the load with `cancelled`
 * @throws {ShoalError} `engine_unavailable`, `model_unsupported`, `model_load_failed` or `cancelled`
 */
export function loadModel(settings: RunnerSettings, onProgress: (fraction: number) => boolean): OpenModel {
  selfTest();
  return openLlamaModel({ ...engineCapacity(settings), modelPath: settings.modelPath, onProgress });
}
