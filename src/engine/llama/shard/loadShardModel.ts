/** Makes a native model of a range of layers, from rewritten metadata and tensors that are supplied one by one. */

import { alignUp, DEFAULT_ALIGNMENT_BYTES } from '../../../models/gguf/types.js';
import { encodeGgufHeader } from '../../../models/gguf/writer.js';
import { type ShardModel, sourceBytes, type TensorSource } from '../../../models/sharding/shardModel.js';
import { ShoalError } from '../../../shared/errors.js';
import type { LoadProgress } from '../../contract.js';
import { withTensorCallback } from '../binding/callbacks.js';
import type { Address } from '../binding/declarations.js';
import type { Native } from '../binding/native.js';
import { allocate } from '../binding/nativeMemory.js';
import type { TensorSupply } from './tensorSupply.js';
import { overrideBuffers } from './weightBuffers.js';

export interface ShardLoadOptions {
  readonly gpuLayers: number;
  readonly onProgress?: LoadProgress | undefined;
}

export interface NativeShard {
  readonly model: Address;
  /** Each tensor of the file once. */
  readonly weightsBytes: number;
  /** After the model has been freed by its owner. */
  free(): void;
}

/** An empty list of devices: the model and its computation stay on the CPU. */
const BYTES_OF_NULL_POINTER = 8;

/**
 * Takes over the supply: it is freed with the result, or when this throws.
 * @throws {ShoalError} `cancelled` when `onProgress` returned false; `model_load_failed` with the engine's last lines,
 *   or with the name of a tensor that is missing or of another size
 */
export function loadShardModel(
  native: Native,
  shard: ShardModel,
  supply: TensorSupply,
  options: ShardLoadOptions,
): NativeShard {
  const noDevices = allocate(BYTES_OF_NULL_POINTER);
  // A GPU's host memory comes before the CPU's own layouts: nothing is overridden there.
  const overrides =
    options.gpuLayers > 0 ? { address: 0, free: () => undefined } : overrideBuffers(native, shard);
  const free = (): void => {
    supply.free();
    overrides.free();
    noDevices.free();
  };
  let gguf = 0;
  let model = 0;
  try {
    gguf = parseHeader(native, shard);
    const { lines } = native.log.keepLog(() =>
      withTensorCallback(filler(native, shard, supply, options.onProgress), (callback) => {
        model = native.model.fromMetadata(gguf, callback, 0, {
          ...native.model.defaultParameters(),
          n_gpu_layers: options.gpuLayers,
          devices: options.gpuLayers > 0 ? 0 : noDevices.address,
          tensor_buft_overrides: overrides.address,
        });
      }),
    );
    if (model === 0) {
      const { first, end } = shard.range;
      throw new ShoalError(
        'model_load_failed',
        `The layers [${first}, ${end}) could not be loaded; the engine's last lines are:\n${lines.join('\n')}`,
      );
    }
    supply.end?.();
    if (options.onProgress?.(1) === false) throw new ShoalError('cancelled', 'Loading was cancelled.');
    return { model, weightsBytes: weightsBytes(shard), free };
  } catch (error) {
    if (model !== 0) native.model.free(model);
    free();
    throw error;
  } finally {
    if (gguf !== 0) native.gguf.free(gguf);
  }
}

function parseHeader(native: Native, shard: ShardModel): Address {
  // Of the table llama.cpp takes names and types; sizes follow from the metadata.
  const table = shard.tensors.map(({ name, type, source }) => ({
    name,
    type,
    dims: dimsOf(source),
  }));
  const encoded = encodeGgufHeader(shard.metadata, table);
  // The parser wants to stand where the data would begin.
  const header = Buffer.concat([encoded], alignUp(encoded.length, DEFAULT_ALIGNMENT_BYTES));
  const { result: gguf, lines } = native.log.keepLog(() =>
    native.gguf.fromBuffer(header, header.length, { no_alloc: true, ctx: 0 }),
  );
  if (gguf !== 0) return gguf;
  throw new ShoalError('model_load_failed', `The header of the shard is refused: ${lines.join('\n')}`);
}

function dimsOf(source: TensorSource): readonly number[] {
  if (source.kind === 'constant') return [1];
  return source.kind === 'tensor' ? source.tensor.dims : source.dims;
}

function filler(
  native: Native,
  shard: ShardModel,
  supply: TensorSupply,
  onProgress: LoadProgress = () => true,
): (tensor: Address) => void {
  const sources = new Map(shard.tensors.map(({ name, source }) => [name, source]));
  const totalBytes = weightsBytes(shard);
  let doneBytes = 0;
  return (tensor) => {
    const name = native.tensor.name(tensor);
    const source = sources.get(name);
    if (source === undefined) {
      if (supply.fillUnlisted !== undefined) return supply.fillUnlisted(tensor, name);
      throw new ShoalError(
        'model_load_failed',
        `The architecture needs a tensor ${name}, and there is none.`,
      );
    }
    if (!onProgress(totalBytes === 0 ? 0 : Math.min(1, doneBytes / totalBytes))) {
      throw new ShoalError('cancelled', 'Loading was cancelled.');
    }
    supply.fill(tensor, source);
    doneBytes += sourceBytes(source);
  };
}

function weightsBytes(shard: ShardModel): number {
  const tensors = new Set<unknown>();
  return shard.tensors.reduce((sum, { source }) => {
    // Embeddings may be the head as well.
    if (source.kind === 'tensor' && tensors.has(source.tensor)) return sum;
    if (source.kind === 'tensor') tensors.add(source.tensor);
    return sum + sourceBytes(source);
  }, 0);
}
