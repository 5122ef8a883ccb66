import type { Engine } from '../engine/contract.js';
import { type OpenModel, openLlamaModel } from '../engine/llama/open.js';
import { selfTest } from '../engine/selfTest/selfTest.js';
import { ShoalError } from '../shared/errors.js';
import { ENGINE } from '../shared/limits.js';
import type { RunnerSettings } from '../shared/runnerProtocol.js';

/** More sequence slots than this the engine does not offer. */
const MOST_SLOTS = 256;

/**
 * Checks the engine on this machine and loads the model, with slots for the prefix cache beside those that run.
 * @param onProgress called with the share done, 0 to 1; false ends the load with `cancelled`
 * @throws {ShoalError} `engine_unavailable`, `model_unsupported`, `model_load_failed` or `cancelled`
 */
export function loadModel(settings: RunnerSettings, onProgress: (fraction: number) => boolean): OpenModel {
  selfTest();
  return openLlamaModel({
    modelPath: settings.modelPath,
    batchRows: settings.sequences + settings.prefillChunkTokens,
    outputRows: settings.sequences,
    sequences: Math.min(settings.sequences + ENGINE.prefixCacheEntries, MOST_SLOTS),
    cells: settings.cacheCells,
    threads: settings.threads,
    gpuLayers: settings.gpuLayers,
    onProgress,
  });
}

/**
 * Computes one token and forgets it: memory is touched, kernels are loaded, and a model whose file is damaged shows.
 * @throws {ShoalError} `model_load_failed` when that gives no numbers
 */
export function warmUp(engine: Engine): void {
  const result = engine.step({
    tokens: Int32Array.of(0),
    hidden: null,
    positions: Int32Array.of(0),
    sequences: Int32Array.of(0),
    outputs: Uint8Array.of(1),
  });
  const logits = result.kind === 'logits' ? result.rows[0] : undefined;
  if (logits === undefined || logits.some(Number.isNaN)) {
    throw new ShoalError('model_load_failed', 'The model computes no numbers; its file may be damaged.');
  }
  engine.truncate(0, 0);
}
