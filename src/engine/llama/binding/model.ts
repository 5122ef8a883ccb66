/** Functions of llama.h on a model: its weights, metadata and shape. */
import type { LibraryHandle } from 'koffi';
import type { Address, Declarations } from './declarations.js';
import type { ModelParameters } from './structs.js';

/** `enum llama_rope_type`, where a row has several positions. */
export const ROPE_TYPE = { sections: 8, interleavedSections: 40 } as const;

export function modelFunctions(declarations: Declarations, llama: LibraryHandle) {
  const c = declarations.of(llama);
  return {
    version: c<() => string>('const char* llama_version()'),
    backendInit: c<() => void>('void llama_backend_init()'),
    defaultParameters: c<() => ModelParameters>('llama_model_params llama_model_default_params()'),
    loadFromFile: c<(path: string, parameters: ModelParameters) => Address>(
      'intptr_t llama_model_load_from_file(const char* path, llama_model_params parameters)',
    ),
    /** A model whose tensors are filled by `setTensor(tensor, data)`, in plain memory unless overridden. */
    fromMetadata: c<
      (gguf: Address, setTensor: Address, data: Address, parameters: ModelParameters) => Address
    >(
      'intptr_t llama_model_init_from_user(intptr_t gguf, intptr_t setTensor, intptr_t data, llama_model_params parameters)',
    ),
    free: c<(model: Address) => void>('void llama_model_free(intptr_t model)'),
    vocabulary: c<(model: Address) => Address>('intptr_t llama_model_get_vocab(intptr_t model)'),
    trainedContext: c<(model: Address) => number>('int32_t llama_model_n_ctx_train(intptr_t model)'),
    hiddenSize: c<(model: Address) => number>('int32_t llama_model_n_embd(intptr_t model)'),
    /** Of the rows that a batch may carry in place of tokens. */
    inputSize: c<(model: Address) => number>('int32_t llama_model_n_embd_inp(intptr_t model)'),
    /** One of `ROPE_TYPE`, or another for which a row has one position. */
    ropeType: c<(model: Address) => number>('int llama_model_rope_type(intptr_t model)'),
    layers: c<(model: Address) => number>('int32_t llama_model_n_layer(intptr_t model)'),
    sizeBytes: c<(model: Address) => number>('uint64_t llama_model_size(intptr_t model)'),
    hasEncoder: c<(model: Address) => boolean>('bool llama_model_has_encoder(intptr_t model)'),
    hasDecoder: c<(model: Address) => boolean>('bool llama_model_has_decoder(intptr_t model)'),
    isRecurrent: c<(model: Address) => boolean>('bool llama_model_is_recurrent(intptr_t model)'),
    isHybrid: c<(model: Address) => boolean>('bool llama_model_is_hybrid(intptr_t model)'),
    isDiffusion: c<(model: Address) => boolean>('bool llama_model_is_diffusion(intptr_t model)'),
    metadataValue: c<(model: Address, key: string, text: Uint8Array | null, sizeBytes: number) => number>(
      'int32_t llama_model_meta_val_str(intptr_t model, const char* key, _Out_ uint8_t* text, size_t size)',
    ),
    chatTemplate: c<(model: Address, name: string | null) => string | null>(
      'const char* llama_model_chat_template(intptr_t model, const char* name)',
    ),
    supportsGpuOffload: c<() => boolean>('bool llama_supports_gpu_offload()'),
  };
}
