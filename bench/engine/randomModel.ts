/** Model files of a real model's shape with random weights: speed does not depend on what the weights say. */
import { randomFillSync } from 'node:crypto';
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { byteVocabulary } from '../../src/engine/selfTest/byteVocabulary.js';
import { tensorSizeBytes, tensorTypeOfName } from '../../src/models/gguf/tensorTypes.js';
import { type WritableMetadata, type WritableTensor, writeGguf } from '../../src/models/gguf/writer.js';
import { packageRoot } from '../../src/shared/packageRoot.js';

export const FORMATS = ['q4_0', 'q4_K', 'q8_0', 'f16'] as const;
export type Format = (typeof FORMATS)[number];

interface Shape {
  readonly layers: number;
  readonly hiddenSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly feedForwardSize: number;
  readonly vocabularySize: number;
}

export const SHAPES = {
  'qwen3-0.6b': {
    layers: 28,
    hiddenSize: 1024,
    heads: 16,
    kvHeads: 8,
    headSize: 128,
    feedForwardSize: 3072,
    vocabularySize: 151_936,
  },
  'qwen3-1.7b': {
    layers: 28,
    hiddenSize: 2048,
    heads: 16,
    kvHeads: 8,
    headSize: 128,
    feedForwardSize: 6144,
    vocabularySize: 151_936,
  },
  tiny: {
    layers: 2,
    hiddenSize: 256,
    heads: 4,
    kvHeads: 2,
    headSize: 64,
    feedForwardSize: 512,
    vocabularySize: 1024,
  },
} as const satisfies Record<string, Shape>;

export type ShapeName = keyof typeof SHAPES;

const MODELS_FOLDER = join(packageRoot(), '.build', 'bench-models');

/**
 * Makes the file unless it is there already.
 * @param folder @default .build/bench-models
 * @returns its path
 */
export function randomModel(shapeName: ShapeName, format: Format, folder = MODELS_FOLDER): string {
  const path = join(folder, `${shapeName}-${format}.gguf`);
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  const shape = SHAPES[shapeName];
  writeGguf(`${path}.part`, { metadata: metadataOf(shape), tensors: tensorsOf(shape, format) });
  renameSync(`${path}.part`, path);
  return path;
}

function metadataOf(shape: Shape): [string, WritableMetadata][] {
  const numbers: Readonly<Record<string, number>> = {
    block_count: shape.layers,
    context_length: 40_960,
    embedding_length: shape.hiddenSize,
    feed_forward_length: shape.feedForwardSize,
    'attention.head_count': shape.heads,
    'attention.head_count_kv': shape.kvHeads,
    'attention.key_length': shape.headSize,
    'attention.value_length': shape.headSize,
  };
  return [
    ['general.architecture', { type: 'string', value: 'qwen3' }],
    ...Object.entries(numbers).map(([key, value]): [string, WritableMetadata] => [
      `qwen3.${key}`,
      { type: 'uint32', value },
    ]),
    ['qwen3.attention.layer_norm_rms_epsilon', { type: 'float32', value: 1e-6 }],
    ['qwen3.rope.freq_base', { type: 'float32', value: 1e6 }],
    ...byteVocabulary(shape.vocabularySize),
  ];
}

function tensorsOf(shape: Shape, format: Format): WritableTensor[] {
  const { hiddenSize, headSize } = shape;
  const pool = randomBlocks(format, hiddenSize);
  const matrix = (name: string, inputs: number, outputs: number): WritableTensor => {
    const dims = [inputs, outputs];
    const sizeBytes = tensorSizeBytes(tensorTypeOfName(format), dims) ?? 0;
    return {
      name,
      dims,
      type: format,
      // Made when it is written: the whole model need not be in memory.
      get data(): Uint8Array {
        return repeated(pool, sizeBytes);
      },
    };
  };
  const norm = (name: string, size: number): WritableTensor => ({
    name,
    dims: [size],
    type: 'f32',
    data: new Uint8Array(new Float32Array(size).fill(1).buffer),
  });
  const blocks = Array.from({ length: shape.layers }, (_, layer) => {
    const block = `blk.${layer}`;
    return [
      norm(`${block}.attn_norm.weight`, hiddenSize),
      matrix(`${block}.attn_q.weight`, hiddenSize, shape.heads * headSize),
      matrix(`${block}.attn_k.weight`, hiddenSize, shape.kvHeads * headSize),
      matrix(`${block}.attn_v.weight`, hiddenSize, shape.kvHeads * headSize),
      norm(`${block}.attn_q_norm.weight`, headSize),
      norm(`${block}.attn_k_norm.weight`, headSize),
      matrix(`${block}.attn_output.weight`, shape.heads * headSize, hiddenSize),
      norm(`${block}.ffn_norm.weight`, hiddenSize),
      matrix(`${block}.ffn_gate.weight`, hiddenSize, shape.feedForwardSize),
      matrix(`${block}.ffn_up.weight`, hiddenSize, shape.feedForwardSize),
      matrix(`${block}.ffn_down.weight`, shape.feedForwardSize, hiddenSize),
    ];
  });
  return [
    matrix('token_embd.weight', hiddenSize, shape.vocabularySize),
    norm('output_norm.weight', hiddenSize),
    ...blocks.flat(),
  ];
}

/** Whole blocks of every format fit a multiple of this. */
const POOL_BLOCKS = 65_536;

/** For each format the scale that makes the weights' spread about 1: their block scales, or the values themselves. */
const SCALES: Readonly<Record<Format, number>> = { q4_0: 0.22, q4_K: 0.004, q8_0: 0.0135, f16: 1.7 };

/** Random bits with sane block scales, which stand first in each block. */
function randomBlocks(format: Format, inputs: number): Uint8Array {
  const { blockBytes } = tensorTypeOfName(format);
  const pool = Buffer.alloc(POOL_BLOCKS * blockBytes);
  randomFillSync(pool);
  const scale = SCALES[format] / Math.sqrt(inputs);
  for (let block = 0; block < POOL_BLOCKS; block += 1) {
    const at = block * blockBytes;
    const value = format === 'f16' ? scale * (pool.readUInt16LE(at) / 32_768 - 1) : scale;
    pool.writeUInt16LE(halfBits(value), at);
    if (format === 'q4_K') pool.writeUInt16LE(halfBits(value), at + 2);
  }
  return pool;
}

function repeated(pool: Uint8Array, sizeBytes: number): Uint8Array {
  const data = new Uint8Array(sizeBytes);
  for (let at = 0; at < sizeBytes; at += pool.length) data.set(pool.subarray(0, sizeBytes - at), at);
  return data;
}

/** The bits of a number as f16, rounded towards zero; too small ones become zero. */
function halfBits(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0] as number;
  const exponent = ((bits >>> 23) & 255) - 112;
  const sign = (bits >>> 16) & 0x8000;
  return exponent <= 0 ? sign : sign | (exponent << 10) | ((bits >>> 13) & 1023);
}
