/**
 * For each architecture a header as its files have it, as far as a graph needs it, with a few layers. Sizes are those
 * of no real model: the tiny likeness replaces them. Tensors are not listed but found out from the engine, which asks
 * for those that an architecture cannot do without.
 */

import { openWholeLikeness } from '../../../src/engine/selfTest/likenessEngines.js';
import { tinyLikeness } from '../../../src/engine/selfTest/tinyLikeness.js';
import type { GgufFile, MetadataValue } from '../../../src/models/gguf/types.js';

type Entry = number | boolean | string | readonly number[];

/** Real numbers among the metadata; all other numbers are whole. */
const REALS =
  /(epsilon|scale|bias|freq_base|freq_base_swa|clamp_kqv|softcapping|xielu\..*|gate_lower_bound|swiglu_clamp.*|beta_fast|beta_slow)$/;

/** For every architecture; each takes what it knows. */
const COMMON: Readonly<Record<string, Entry>> = {
  context_length: 4096,
  embedding_length: 1024,
  feed_forward_length: 3072,
  leading_dense_block_count: 1,
  use_parallel_residual: false,
  logit_scale: 0.5,
  residual_scale: 0.7,
  embedding_scale: 3,
  'attention.head_count': 16,
  'attention.head_count_kv': 8,
  'attention.max_alibi_bias': 8,
  'attention.clamp_kqv': 8,
  'attention.layer_norm_epsilon': 1e-5,
  'attention.layer_norm_rms_epsilon': 1e-5,
  'attention.group_norm_epsilon': 1e-5,
  'attention.group_norm_groups': 8,
  'attention.q_lora_rank': 768,
  'attention.kv_lora_rank': 512,
  'attention.relative_buckets_count': 8,
  'attention.sliding_window': 512,
  'attention.indexer.head_count': 16,
  'attention.indexer.key_length': 128,
  'attention.indexer.top_k': 512,
  'attention.indexer.block_size': 4,
  'attention.indexer.local_blocks': 1,
  'rope.freq_base': 1_000_000,
  'rope.freq_base_swa': 10_000,
  'rope.dimension_sections': [24, 20, 20, 0],
  interleave_moe_layer_step: 2,
  expert_feed_forward_length: 512,
  expert_shared_feed_forward_length: 512,
  expert_count: 32,
  expert_used_count: 4,
  expert_shared_count: 1,
  expert_gating_func: 2,
  expert_group_scale: 1,
  experts_per_group: 1,
  expert_weights_scale: 1.5,
  'ssm.inner_size': 2048,
  'ssm.conv_kernel': 4,
  'ssm.state_size': 128,
  'ssm.time_step_rank': 16,
  'ssm.group_count': 2,
  'kda.head_dim': 128,
  'shortconv.l_cache': 3,
  attn_temperature_scale: 0.1,
};

const LATENT: Readonly<Record<string, Entry>> = {
  'attention.key_length': 576,
  'attention.value_length': 512,
  'attention.key_length_mla': 192,
  'attention.value_length_mla': 128,
  'rope.dimension_count': 64,
};

const LATENT_ARCHITECTURES = /^(deepseek2|deepseek32|mistral4|kimi-linear)$/;
const MIXED_KINDS = /^(jamba|lfm2|lfm2moe|kimi-linear)$/;

export const LAYERS = 12;

export interface HeaderOptions {
  /** Names of tensors, where they are known. @default none */
  readonly tensors?: readonly string[];
  /** @default LAYERS */
  readonly layers?: number;
}

export function architectureHeader(
  architecture: string,
  { tensors = [], layers = LAYERS }: HeaderOptions = {},
): GgufFile {
  const entries: Record<string, Entry> = {
    ...COMMON,
    block_count: layers,
    ...(LATENT_ARCHITECTURES.test(architecture) ? LATENT : {}),
    ...(MIXED_KINDS.test(architecture) ? mixedKinds() : {}),
    ...OTHERS[architecture],
  };
  const metadata = new Map<string, MetadataValue>([
    ['general.architecture', { type: 'string', value: architecture }],
  ]);
  for (const [key, entry] of Object.entries(entries))
    metadata.set(`${architecture}.${key}`, metadataOf(key, entry));
  for (const [key, entry] of Object.entries(ELSEWHERE[architecture] ?? {})) {
    metadata.set(key, metadataOf(key, entry));
  }
  return {
    version: 3,
    metadata,
    tensors: tensors.map((name) => ({ name, type: 'f32', dims: [1], elements: 1, sizeBytes: 4, offset: 0 })),
    dataOffset: 0,
    fileBytes: 0,
  };
}

const DELTA_NET = {
  full_attention_interval: 4,
  'ssm.inner_size': 4096,
  'ssm.time_step_rank': 32,
  'ssm.group_count': 16,
};

const EACH_HEAD_HAS_KEYS = { 'attention.head_count_kv': 16 };

const byLayer = (value: (layer: number) => number): number[] =>
  Array.from({ length: LAYERS }, (_, layer) => value(layer));

const OTHERS: Readonly<Record<string, Readonly<Record<string, Entry>>>> = {
  qwen3next: DELTA_NET,
  qwen35: DELTA_NET,
  qwen35moe: DELTA_NET,
  olmoe: EACH_HEAD_HAS_KEYS,
  dots1: EACH_HEAD_HAS_KEYS,
  jais2: EACH_HEAD_HAS_KEYS,
  mellum: { 'attention.sliding_window_pattern': byLayer((layer) => (layer % 5 === 2 ? 0 : 1)) },
};

/** Metadata that does not stand under the architecture's name. */
const ELSEWHERE: Readonly<Record<string, Readonly<Record<string, Entry>>>> = {
  apertus: {
    'xielu.alpha_n': byLayer((layer) => 0.5 + layer / 8),
    'xielu.alpha_p': byLayer((layer) => 1 - layer / 32),
    'xielu.beta': byLayer((layer) => 0.5 + layer / 64),
    'xielu.eps': byLayer(() => 1e-6),
  },
};

/** Tensors that files have although the architecture could do without. */
const USUAL_TENSORS: Readonly<Record<string, (layer: number) => readonly string[]>> = {
  phi3: () => ['attn_qkv.weight'],
  qwen2: () => ['attn_q.bias', 'attn_k.bias', 'attn_v.bias'],
  qwen3next: (layer) => ((layer + 1) % 4 === 0 ? [] : ['attn_qkv.weight', 'attn_gate.weight']),
  qwen35: (layer) => ((layer + 1) % 4 === 0 ? [] : ['attn_qkv.weight', 'attn_gate.weight']),
  qwen35moe: (layer) => ((layer + 1) % 4 === 0 ? [] : ['attn_qkv.weight', 'attn_gate.weight']),
};

/** Attention in every third layer, beginning with the first. */
function mixedKinds(): Record<string, Entry> {
  const heads = (count: number) =>
    Array.from({ length: LAYERS }, (_, layer) => (layer % 3 === 0 ? count : 0));
  return { 'attention.head_count_kv': heads(8) };
}

function metadataOf(key: string, entry: Entry): MetadataValue {
  if (typeof entry === 'string') return { type: 'string', value: entry };
  if (typeof entry === 'boolean') return { type: 'bool', value: entry };
  if (typeof entry !== 'number') {
    const elementType = REALS.test(key) ? 'float32' : 'uint32';
    return { type: 'array', elementType, value: entry, length: entry.length };
  }
  return { type: REALS.test(key) ? 'float32' : 'uint32', value: entry };
}

/** Names of the tensors of an architecture: those that it cannot do without, as the engine asks for them, and some. */
export function tensorNames(architecture: string, layers = LAYERS): string[] {
  const usual = byLayer((layer) => layer).flatMap((layer) =>
    (USUAL_TENSORS[architecture]?.(layer) ?? []).map((name) => `blk.${layer}.${name}`),
  );
  // The engine wants as many tensors to be listed as it creates, and says how many these are.
  const open = (missing: number): string[] => {
    const placeholders = Array.from({ length: missing }, (_, index) => `placeholder.${index}`);
    const names = new Set(usual);
    const tensors = [...usual, ...placeholders];
    const header = tinyLikeness(architectureHeader(architecture, { tensors, layers }));
    openWholeLikeness(header, layers, (name) => names.add(name)).close();
    return [...names];
  };
  try {
    return open(0);
  } catch (error) {
    const counts = /expected (\d+), got (\d+)/.exec(String(error));
    if (counts === null) throw error;
    return open(Number(counts[2]) - Number(counts[1]));
  }
}
