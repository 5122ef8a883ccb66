/**
 * Structs that llama.cpp takes and returns by value, in the order of its header (llama.h). A layout that is off by
 * one member reads or writes nonsense, therefore `checkDefaults` compares what the library fills in with what its
 * source says.
 */
import koffi from 'koffi';
import type { Address } from './declarations.js';

export interface ModelParameters {
  devices: Address;
  tensor_buft_overrides: Address;
  n_gpu_layers: number;
  split_mode: number;
  load_mode: number;
  lazy_mode: number;
  main_gpu: number;
  tensor_split: Address;
  progress_callback: Address;
  progress_callback_user_data: Address;
  kv_overrides: Address;
  vocab_only: boolean;
  check_tensors: boolean;
  use_extra_bufts: boolean;
  no_host: boolean;
  no_alloc: boolean;
  load_mtp: boolean;
}

export interface ContextParameters {
  n_ctx: number;
  n_batch: number;
  n_ubatch: number;
  n_seq_max: number;
  n_rs_seq: number;
  n_outputs_max: number;
  n_outputs_max_per_seq: number;
  n_threads: number;
  n_threads_batch: number;
  ctx_type: number;
  rope_scaling_type: number;
  pooling_type: number;
  attention_type: number;
  flash_attn_type: number;
  rope_freq_base: number;
  rope_freq_scale: number;
  yarn_ext_factor: number;
  yarn_attn_factor: number;
  yarn_beta_fast: number;
  yarn_beta_slow: number;
  yarn_orig_ctx: number;
  defrag_thold: number;
  cb_eval: Address;
  cb_eval_user_data: Address;
  type_k: number;
  type_v: number;
  abort_callback: Address;
  abort_callback_data: Address;
  embeddings: boolean;
  offload_kqv: boolean;
  no_perf: boolean;
  op_offload: boolean;
  swa_full: boolean;
  kv_unified: boolean;
  samplers: Address;
  n_samplers: number;
  ctx_other: Address;
}

/** The rows of one decode: addresses of arrays with `n_tokens` entries each. */
export interface Batch {
  n_tokens: number;
  token: Address;
  embd: Address;
  pos: Address;
  n_seq_id: Address;
  seq_id: Address;
  logits: Address;
}

/** How `gguf.h` reads a header. */
export interface GgufParameters {
  no_alloc: boolean;
  ctx: Address;
}

/** Where the structs of tensors are kept; with `no_alloc` their data is not. */
export interface TensorArenaParameters {
  mem_size: number;
  mem_buffer: Address;
  no_alloc: boolean;
}

/** `enum ggml_type`, as far as the KV cache may use it. */
export const GGML_TYPE_F32 = 0;
export const GGML_TYPE_F16 = 1;

/** `enum llama_load_mode` */
export const LOAD_MODE = { none: 0 } as const;

/** `enum llama_flash_attn_type` */
export const FLASH_ATTENTION = { auto: -1, off: 0 } as const;

const MODEL_PARAMETERS = {
  devices: 'intptr_t',
  tensor_buft_overrides: 'intptr_t',
  n_gpu_layers: 'int32_t',
  split_mode: 'int',
  load_mode: 'int',
  lazy_mode: 'int',
  main_gpu: 'int32_t',
  tensor_split: 'intptr_t',
  progress_callback: 'intptr_t',
  progress_callback_user_data: 'intptr_t',
  kv_overrides: 'intptr_t',
  vocab_only: 'bool',
  check_tensors: 'bool',
  use_extra_bufts: 'bool',
  no_host: 'bool',
  no_alloc: 'bool',
  load_mtp: 'bool',
} satisfies Record<keyof ModelParameters, string>;

const CONTEXT_PARAMETERS = {
  n_ctx: 'uint32_t',
  n_batch: 'uint32_t',
  n_ubatch: 'uint32_t',
  n_seq_max: 'uint32_t',
  n_rs_seq: 'uint32_t',
  n_outputs_max: 'uint32_t',
  n_outputs_max_per_seq: 'uint32_t',
  n_threads: 'int32_t',
  n_threads_batch: 'int32_t',
  ctx_type: 'int',
  rope_scaling_type: 'int',
  pooling_type: 'int',
  attention_type: 'int',
  flash_attn_type: 'int',
  rope_freq_base: 'float',
  rope_freq_scale: 'float',
  yarn_ext_factor: 'float',
  yarn_attn_factor: 'float',
  yarn_beta_fast: 'float',
  yarn_beta_slow: 'float',
  yarn_orig_ctx: 'uint32_t',
  defrag_thold: 'float',
  cb_eval: 'intptr_t',
  cb_eval_user_data: 'intptr_t',
  type_k: 'int',
  type_v: 'int',
  abort_callback: 'intptr_t',
  abort_callback_data: 'intptr_t',
  embeddings: 'bool',
  offload_kqv: 'bool',
  no_perf: 'bool',
  op_offload: 'bool',
  swa_full: 'bool',
  kv_unified: 'bool',
  samplers: 'intptr_t',
  n_samplers: 'size_t',
  ctx_other: 'intptr_t',
} satisfies Record<keyof ContextParameters, string>;

const BATCH = {
  n_tokens: 'int32_t',
  token: 'intptr_t',
  embd: 'intptr_t',
  pos: 'intptr_t',
  n_seq_id: 'intptr_t',
  seq_id: 'intptr_t',
  logits: 'intptr_t',
} satisfies Record<keyof Batch, string>;

const GGUF_PARAMETERS = {
  no_alloc: 'bool',
  ctx: 'intptr_t',
} satisfies Record<keyof GgufParameters, string>;

const TENSOR_ARENA_PARAMETERS = {
  mem_size: 'size_t',
  mem_buffer: 'intptr_t',
  no_alloc: 'bool',
} satisfies Record<keyof TensorArenaParameters, string>;

/** Registers the structs under their C names, so that signatures can use them. Once a thread. */
export function declareStructs(): void {
  koffi.struct('llama_model_params', MODEL_PARAMETERS);
  koffi.struct('llama_context_params', CONTEXT_PARAMETERS);
  koffi.struct('llama_batch', BATCH);
  koffi.struct('gguf_init_params', GGUF_PARAMETERS);
  koffi.struct('ggml_init_params', TENSOR_ARENA_PARAMETERS);
}
