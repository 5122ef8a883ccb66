/**
 * Which architectures can be divided into tensor slices, and how each of their tensors is: one table, after the graphs
 * of llama.cpp v0.4.0. Every rank computes equal parts of all heads and of the feed-forward layer as a narrower model of
 * its own; what a matrix makes of a part of its inputs is added up over the ranks (`SUMMED`). A tensor that is not in the
 * table makes a model one that cannot be sliced. test/engine/slices compares each architecture with the whole model.
 */

/** What of a tensor a rank has. */
export type Division =
  /** All of it. */
  | { readonly by: 'nothing' }
  /** The outputs, rows of the matrix or numbers of a bias, of its share of a dimension. */
  | { readonly by: 'outputs'; readonly of: SlicedSize }
  /** The inputs of its share: a piece of each row of the matrix. Its results are added up over the ranks. */
  | { readonly by: 'inputs'; readonly of: SlicedSize };

/** Query heads and key-value heads with their numbers each, and the numbers of the feed-forward layer. */
export type SlicedSize = 'heads' | 'keyValueHeads' | 'feedForward';

const WHOLE: Division = { by: 'nothing' };
const HEADS: Division = { by: 'outputs', of: 'heads' };
const KEY_VALUE_HEADS: Division = { by: 'outputs', of: 'keyValueHeads' };
const FEED_FORWARD: Division = { by: 'outputs', of: 'feedForward' };

/** Of each layer's matrices the two whose results are added up, in the order of the graph. */
export const SUMMED = ['attn_output.weight', 'ffn_down.weight'] as const;

/** By the name within the layer. A bias behind a sum is added once by each rank, to the sum. */
export const LAYER_DIVISIONS: ReadonlyMap<string, Division> = new Map<string, Division>([
  ['attn_norm.weight', WHOLE],
  ['attn_q.weight', HEADS],
  ['attn_q.bias', HEADS],
  ['attn_k.weight', KEY_VALUE_HEADS],
  ['attn_k.bias', KEY_VALUE_HEADS],
  ['attn_v.weight', KEY_VALUE_HEADS],
  ['attn_v.bias', KEY_VALUE_HEADS],
  ['attn_q_norm.weight', WHOLE],
  ['attn_k_norm.weight', WHOLE],
  [SUMMED[0], { by: 'inputs', of: 'heads' }],
  ['attn_output.bias', WHOLE],
  ['ffn_norm.weight', WHOLE],
  ['ffn_gate.weight', FEED_FORWARD],
  ['ffn_up.weight', FEED_FORWARD],
  [SUMMED[1], { by: 'inputs', of: 'feedForward' }],
]);

/** Outside of layers. Embeddings are looked up in the file; of the head each rank has its share of the vocabulary. */
export const OTHER_TENSORS: ReadonlySet<string> = new Set([
  'token_embd.weight',
  'output_norm.weight',
  'output.weight',
  'rope_freqs.weight',
]);

export interface SliceRule {
  /**
   * llama.cpp derives the width of heads from the number of heads for this architecture, whatever the file says. A slice
   * therefore goes by the name of another with the same graph, in which some tensors are named otherwise.
   */
  readonly alias?: { readonly architecture: string; readonly names: ReadonlyMap<string, string> };
}

export const SLICE_RULES: ReadonlyMap<string, SliceRule> = new Map<string, SliceRule>([
  ['llama', {}],
  ['mistral3', {}],
  ['qwen3', {}],
  [
    'qwen2',
    {
      alias: {
        architecture: 'seed_oss',
        names: new Map([['ffn_norm.weight', 'post_attention_norm.weight']]),
      },
    },
  ],
]);
