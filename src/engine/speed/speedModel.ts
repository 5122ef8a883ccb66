/**
 * A model that is there to be timed: ordinary layers of 8-bit weights, large enough that no cache holds them. Its
 * weights are made in memory and say nothing.
 */
import type { TensorInfo } from '../../models/gguf/types.js';
import type { WritableMetadata } from '../../models/gguf/writer.js';
import type { ShardModel, TensorSource } from '../../models/sharding/shardModel.js';
import type { Address } from '../llama/binding/declarations.js';
import type { Native } from '../llama/binding/native.js';
import { fillWith, type TensorSupply } from '../llama/shard/tensorSupply.js';

const HIDDEN_SIZE = 2_048;
const FEED_FORWARD_SIZE = 8_192;
const HEADS = 16;
const VOCABULARY_SIZE = 32;

/** A block of q8_0: a scale of 16 bits and 32 weights. */
const BLOCK_WEIGHTS = 32;
const BLOCK_BYTES = 34;
const POOL_BLOCKS = 65_536;
/** 2⁻⁷ as f16: sums of a few thousand such products stay small. */
const SCALE_BITS = 0x2000;

/** Name under `blk.N.`, inputs, outputs. */
const MATRICES = [
  ['attn_q', HIDDEN_SIZE, HIDDEN_SIZE],
  ['attn_k', HIDDEN_SIZE, HIDDEN_SIZE],
  ['attn_v', HIDDEN_SIZE, HIDDEN_SIZE],
  ['attn_output', HIDDEN_SIZE, HIDDEN_SIZE],
  ['ffn_gate', HIDDEN_SIZE, FEED_FORWARD_SIZE],
  ['ffn_up', HIDDEN_SIZE, FEED_FORWARD_SIZE],
  ['ffn_down', FEED_FORWARD_SIZE, HIDDEN_SIZE],
] as const;
const NORMS = ['attn_norm', 'ffn_norm'] as const;

const LAYER_WEIGHTS = MATRICES.reduce((sum, [, inputs, outputs]) => sum + inputs * outputs, 0);

/** What one token takes of each layer: bytes that are read, multiplications and additions. */
export const SPEED_LAYER = {
  readBytes: (LAYER_WEIGHTS / BLOCK_WEIGHTS) * BLOCK_BYTES,
  operations: 2 * LAYER_WEIGHTS,
} as const;

/** @param layerCount of `SPEED_LAYER.readBytes` each */
export function speedModel(layerCount: number): ShardModel {
  const numbers: Readonly<Record<string, number>> = {
    vocab_size: VOCABULARY_SIZE,
    block_count: layerCount,
    context_length: 4_096,
    embedding_length: HIDDEN_SIZE,
    feed_forward_length: FEED_FORWARD_SIZE,
    'attention.head_count': HEADS,
    'attention.head_count_kv': HEADS,
  };
  const metadata: [string, WritableMetadata][] = [
    ['general.architecture', { type: 'string', value: 'llama' }],
    ['tokenizer.ggml.model', { type: 'string', value: 'none' }],
    ['llama.attention.layer_norm_rms_epsilon', { type: 'float32', value: 1e-5 }],
    ...Object.entries(numbers).map(([key, value]): [string, WritableMetadata] => [
      `llama.${key}`,
      { type: 'uint32', value },
    ]),
  ];
  const layers = Array.from({ length: layerCount }, (_, layer) => [
    ...MATRICES.map(([name, inputs, outputs]) => matrix(`blk.${layer}.${name}.weight`, inputs, outputs)),
    ...NORMS.map((name) => norm(`blk.${layer}.${name}.weight`)),
  ]);
  return {
    architecture: 'llama',
    range: { first: 0, end: layerCount },
    layerCount,
    vocabularySize: VOCABULARY_SIZE,
    isFirst: true,
    isLast: true,
    metadata,
    tensors: [
      matrix('token_embd.weight', HIDDEN_SIZE, VOCABULARY_SIZE),
      norm('output_norm.weight'),
      ...layers.flat(),
    ],
    embeddings: null,
    embeddingFactor: 1,
    inputNode: null,
    outputNode: null,
  };
}

function matrix(name: string, inputs: number, outputs: number): ShardModel['tensors'][number] {
  const elements = inputs * outputs;
  const sizeBytes = (elements / BLOCK_WEIGHTS) * BLOCK_BYTES;
  const tensor: TensorInfo = { name, type: 'q8_0', dims: [inputs, outputs], elements, sizeBytes, offset: 0 };
  return { name, type: 'q8_0', source: { kind: 'tensor', tensor } };
}

function norm(name: string): ShardModel['tensors'][number] {
  return { name, type: 'f32', source: { kind: 'constant', value: 1 } };
}

/** Every matrix is the same few blocks again and again, written out in full: each has pages of its own. */
export class SpeedSupply implements TensorSupply {
  readonly #native: Native;
  readonly #pool = blocks();

  constructor(native: Native) {
    this.#native = native;
  }

  fill(tensor: Address, source: TensorSource): void {
    if (source.kind === 'untouched') return;
    if (source.kind === 'constant') {
      fillWith(this.#native, tensor, source.value);
      return;
    }
    // Some layouts of memory take a tensor only as a whole.
    const bytes = Buffer.alloc(source.tensor.sizeBytes, this.#pool);
    this.#native.tensor.setBytes(tensor, bytes, 0, bytes.length);
  }

  free(): void {
    // Nothing is held.
  }
}

function blocks(): Buffer {
  const pool = Buffer.alloc(POOL_BLOCKS * BLOCK_BYTES);
  let state = 1;
  for (let at = 0; at < pool.length; at += 1) {
    // The linear congruential generator of Numerical Recipes.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    pool[at] = state >>> 24;
  }
  for (let at = 0; at < pool.length; at += BLOCK_BYTES) pool.writeUInt16LE(SCALE_BITS, at);
  return pool;
}
