/** Loads a model file, or only its vocabulary, into native memory. */
import { readGguf } from '../../models/gguf/reader.js';
import { ShoalError } from '../../shared/errors.js';
import type { LoadProgress } from '../contract.js';
import { withProgressCallback } from './binding/callbacks.js';
import type { Address } from './binding/declarations.js';
import type { Native } from './binding/native.js';
import { allocate } from './binding/nativeMemory.js';
import type { ModelParameters } from './binding/structs.js';
import { checkModelFile } from './checkModelFile.js';

export interface LoadOptions {
  readonly path: string;
  readonly gpuLayers: number;
  readonly vocabularyOnly: boolean;
  readonly onProgress?: LoadProgress | undefined;
}

/** An empty list of devices: the model and its computation stay on the CPU. */
const BYTES_OF_NULL_POINTER = 8;

/**
 * @returns the model's address; to be freed with `native.model.free`
 * @throws {ShoalError} `model_unsupported` for an architecture that llama.cpp does not know, `cancelled` when
 *   `onProgress` returned false, else `model_load_failed` with the last lines of llama.cpp's log
 */
export function loadModel(native: Native, options: LoadOptions): Address {
  checkModelFile(readGguf(options.path), options.path);
  const noDevices = allocate(BYTES_OF_NULL_POINTER);
  const parameters: ModelParameters = {
    ...native.model.defaultParameters(),
    n_gpu_layers: options.gpuLayers,
    devices: options.gpuLayers > 0 ? 0 : noDevices.address,
    vocab_only: options.vocabularyOnly,
  };
  let cancelled = false;
  const onProgress = (fraction: number): boolean => {
    cancelled ||= options.onProgress?.(fraction) === false;
    return !cancelled;
  };
  try {
    const { result: model, lines } = native.log.keepLog(() =>
      withProgressCallback(onProgress, (callback) =>
        native.model.loadFromFile(options.path, { ...parameters, progress_callback: callback }),
      ),
    );
    if (model === 0)
      throw cancelled
        ? new ShoalError('cancelled', 'Loading was cancelled.')
        : loadFailure(options.path, lines);
    return model;
  } finally {
    noDevices.free();
  }
}

/** Why llama.cpp refused a file, from what it logged. */
export function loadFailure(path: string, lines: readonly string[]): ShoalError {
  const log = lines.join('\n');
  const unknown = /unknown model architecture: '([^']*)'/.exec(log)?.[1];
  if (unknown !== undefined) {
    return new ShoalError(
      'model_unsupported',
      `${path}: the engine does not know the architecture "${unknown}".`,
    );
  }
  const quote = lines.length === 0 ? 'the engine gave no reason' : `the engine's last lines are:\n${log}`;
  return new ShoalError('model_load_failed', `${path} could not be loaded; ${quote}`);
}
