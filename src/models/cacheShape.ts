/**
 * How much each layer of a model remembers: bytes for each KV cell (one position of one sequence) and bytes for each
 * sequence. After `llama_kv_cache` and `llama_memory_recurrent` of llama.cpp v0.4.0, with f16 KV and f32 states:
 * - attention: (key length + value length) × KV heads × 2, with the layer's own number of KV heads;
 * - sliding windows: counted as full attention, as the engine keeps all cells, so that a sequence can be cut;
 * - MLA (DeepSeek): only the compressed keys; sparse attention adds its indexer's keys;
 * - recurrent layers: convolution and state of fixed size. Where a file does not tell which layers of a hybrid model
 *   are recurrent, each is counted as both: a bound, not an estimate. So are layers that share the KV of others.
 */
import { isRecurrent } from './architectures.js';
import { getArray, getNumber, getNumbers } from './gguf/metadata.js';
import type { GgufFile } from './gguf/types.js';

/** One entry for each layer. */
export interface CacheShape {
  readonly cellBytes: readonly number[];
  readonly sequenceBytes: readonly number[];
}

export interface AttentionShape {
  readonly layers: number;
  readonly hiddenSize: number;
  /** `[layers]` */
  readonly heads: readonly number[];
  readonly keyValueHeads: readonly number[];
  readonly keyLength: number;
  readonly valueLength: number;
}

const F16_BYTES = 2;
const F32_BYTES = 4;
/** llama.cpp takes this for the delta-attention convolution when the file does not say. */
const DEFAULT_KDA_CONVOLUTION = 4;

export function cacheShapeOf(gguf: GgufFile, architecture: string, shape: AttentionShape): CacheShape {
  const number = (key: string) => getNumber(gguf, `${architecture}.${key}`) ?? 0;
  const keyLength = Math.max(shape.keyLength, number('attention.key_length_swa'));
  const isMla = number('attention.key_length_mla') > 0 && number('attention.value_length_mla') > 0;
  const valueLength = isMla ? 0 : Math.max(shape.valueLength, number('attention.value_length_swa'));
  const indexerBytes = number('attention.indexer.key_length') * F16_BYTES;
  const recurrent = recurrentLayers(gguf, architecture, shape.layers);
  const stateBytes = stateElements(number, shape) * F32_BYTES;

  const cellBytes: number[] = [];
  const sequenceBytes: number[] = [];
  for (let layer = 0; layer < shape.layers; layer++) {
    const heads = shape.keyValueHeads[layer] ?? 0;
    const isAttention = recurrent === null ? heads > 0 : !recurrent[layer];
    cellBytes.push(isAttention ? (keyLength + valueLength) * heads * F16_BYTES + indexerBytes : 0);
    sequenceBytes.push(recurrent === null || recurrent[layer] ? stateBytes : 0);
  }
  return { cellBytes, sequenceBytes };
}

/** Which layers are recurrent; null when the file does not tell. */
function recurrentLayers(gguf: GgufFile, architecture: string, layers: number): readonly boolean[] | null {
  if (isRecurrent(architecture)) return new Array<boolean>(layers).fill(true);
  const key = `${architecture}.attention.recurrent_layers`;
  if (getArray(gguf, key)?.length === layers) return getNumbers(gguf, key)?.map(Boolean) ?? null;
  const interval = getNumber(gguf, `${architecture}.full_attention_interval`);
  if (interval === null || interval < 1) return null;
  return Array.from({ length: layers }, (_, layer) => (layer + 1) % interval !== 0);
}

/** Numbers of one recurrent layer's state (`llama_hparams::n_embd_r` + `n_embd_s`); 0 for attention alone. */
function stateElements(number: (key: string) => number, shape: AttentionShape): number {
  const { hiddenSize } = shape;
  const heads = Math.max(0, ...shape.heads);
  const wkvHead = number('wkv.head_size');
  if (wkvHead > 0) return hiddenSize * (Math.max(1, number('token_shift_count')) + wkvHead);
  const shortConvolution = number('shortconv.l_cache');
  if (shortConvolution > 0) return hiddenSize * (shortConvolution - 1);
  const convolution = number('ssm.conv_kernel');
  const kdaHead = number('kda.head_dim');
  if (kdaHead > 0) {
    const channels = heads * kdaHead;
    return 3 * ((convolution || DEFAULT_KDA_CONVOLUTION) - 1) * channels + channels * kdaHead;
  }
  const inner = number('ssm.inner_size');
  const state = number('ssm.state_size');
  if (inner > 0) {
    const convolved = inner + 2 * number('ssm.group_count') * state;
    return Math.max(0, convolution - 1) * convolved + state * inner;
  }
  // Linear attention as in MiniMax-01: a square matrix for each head.
  return number('full_attention_interval') > 0 ? heads * shape.keyLength ** 2 : 0;
}
