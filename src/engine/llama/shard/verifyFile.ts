/**
 * Lets llama.cpp look at a whole model file as it would load it: metadata, names and shapes of all tensors, without
 * weights or vocabulary. A model that is made from metadata alone is taken on trust, and a size that cannot be would
 * end the process.
 */

import type { GgufFile } from '../../../models/gguf/types.js';
import { architectureOf } from '../../../models/sharding/legalCuts.js';
import type { Native } from '../binding/native.js';
import { allocate } from '../binding/nativeMemory.js';
import { metadataOverrides } from '../binding/overrides.js';
import { LOAD_MODE } from '../binding/structs.js';
import { checkNetwork } from '../checkModelFile.js';
import { loadFailure } from '../loadModel.js';

const BYTES_OF_NULL_POINTER = 8;

/**
 * @param path of the only file, or of the first part
 * @param gguf its header: parts joined
 * @throws {ShoalError} `model_unsupported`, or `model_load_failed` with the last lines of llama.cpp's log
 */
export function verifyModelFile(native: Native, path: string, gguf: GgufFile): void {
  checkNetwork(gguf, path);
  const embeddings = gguf.tensors.find(({ name }) => name === 'token_embd.weight');
  const overrides = metadataOverrides({
    'tokenizer.ggml.model': 'none',
    [`${architectureOf(gguf)}.vocab_size`]: embeddings?.dims[1] ?? 0,
  });
  const noDevices = allocate(BYTES_OF_NULL_POINTER);
  try {
    const { result: model, lines } = native.log.keepLog(() =>
      native.model.loadFromFile(path, {
        ...native.model.defaultParameters(),
        n_gpu_layers: 0,
        devices: noDevices.address,
        load_mode: LOAD_MODE.none,
        kv_overrides: overrides.address,
        no_alloc: true,
      }),
    );
    if (model === 0) throw loadFailure(path, lines);
    native.model.free(model);
  } finally {
    overrides.free();
    noDevices.free();
  }
}
