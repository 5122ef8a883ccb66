/** What `llama_*_default_params()` of the pinned release return: a wrong struct layout cannot reproduce them. */
import type { ContextParameters, ModelParameters } from './structs.js';

const MODEL_DEFAULTS: ModelParameters = {
  devices: 0,
  tensor_buft_overrides: 0,
  n_gpu_layers: -1,
  split_mode: 1,
  load_mode: -1,
  lazy_mode: 1,
  main_gpu: 0,
  tensor_split: 0,
  progress_callback: 0,
  progress_callback_user_data: 0,
  kv_overrides: 0,
  vocab_only: false,
  check_tensors: false,
  use_extra_bufts: true,
  no_host: false,
  no_alloc: false,
  load_mtp: false,
};

const CONTEXT_DEFAULTS: ContextParameters = {
  n_ctx: 512,
  n_batch: 2048,
  n_ubatch: 512,
  n_seq_max: 1,
  n_rs_seq: 0,
  n_outputs_max: 0,
  n_outputs_max_per_seq: 1,
  n_threads: 4,
  n_threads_batch: 4,
  ctx_type: 0,
  rope_scaling_type: -1,
  pooling_type: -1,
  attention_type: -1,
  flash_attn_type: -1,
  rope_freq_base: 0,
  rope_freq_scale: 0,
  yarn_ext_factor: -1,
  yarn_attn_factor: -1,
  yarn_beta_fast: -1,
  yarn_beta_slow: -1,
  yarn_orig_ctx: 0,
  defrag_thold: -1,
  cb_eval: 0,
  cb_eval_user_data: 0,
  type_k: 1,
  type_v: 1,
  abort_callback: 0,
  abort_callback_data: 0,
  embeddings: false,
  offload_kqv: true,
  no_perf: true,
  op_offload: true,
  swa_full: true,
  kv_unified: false,
  samplers: 0,
  n_samplers: 0,
  ctx_other: 0,
};

/** Each member that is not as expected, in words; empty when both layouts are right. */
export function defaultMismatches(model: ModelParameters, context: ContextParameters): string[] {
  return [
    ...differences('llama_model_params', model, MODEL_DEFAULTS),
    ...differences('llama_context_params', context, CONTEXT_DEFAULTS),
  ];
}

function differences<Struct extends object>(name: string, actual: Struct, expected: Struct): string[] {
  return (Object.keys(expected) as (keyof Struct & string)[])
    .filter((member) => actual[member] !== expected[member])
    .map((member) => `${name}.${member} is ${actual[member]} instead of ${expected[member]}`);
}
