/** Tiny models whose matrices are stored in a given number format: random bits with sane scales. */
import { type TinyModelShape, tinyModel } from '../../../src/engine/selfTest/tinyModel.js';
import { tensorSizeBytes, tensorTypeOfName } from '../../../src/models/gguf/tensorTypes.js';
import type { WritableGguf, WritableTensor } from '../../../src/models/gguf/writer.js';
import { tinyShape } from '../support.js';

export const FORMATS = ['f32', 'f16', 'q8_0', 'q4_0', 'q4_K', 'q6_K'] as const;
export type StoredFormat = (typeof FORMATS)[number] | 'bf16' | 'q5_K';

/** Rows of whole blocks in every format, and as many of them as faster layouts take at once. */
const SIZES = { hiddenSize: 256, heads: 4, kvHeads: 2, headSize: 64, feedForwardSize: 512 } as const;

export function quantisedModel(
  architecture: TinyModelShape['architecture'],
  format: StoredFormat,
  more: Partial<TinyModelShape> = {},
): WritableGguf {
  const model = tinyModel(tinyShape(architecture, { ...SIZES, layers: 6, ...more }));
  if (format === 'f32') return model;
  return {
    metadata: model.metadata,
    tensors: model.tensors.map((tensor) => (tensor.dims.length === 2 ? stored(tensor, format) : tensor)),
  };
}

/** Where in a block its scales (f16) are, and what they are times √inputs, for weights that spread about 1. */
const SCALES: Readonly<
  Record<Exclude<StoredFormat, 'f32' | 'f16' | 'bf16'>, readonly [offsets: readonly number[], scale: number]>
> = {
  q8_0: [[0], 0.0135],
  q4_0: [[0], 0.22],
  q4_K: [[0, 2], 0.004],
  q5_K: [[0, 2], 0.002],
  q6_K: [[208], 0.0012],
};

function stored(tensor: WritableTensor, format: Exclude<StoredFormat, 'f32'>): WritableTensor {
  const type = tensorTypeOfName(format);
  const data = Buffer.alloc(tensorSizeBytes(type, tensor.dims) ?? 0);
  const random = generator(tensor.name);
  const inputs = tensor.dims[0] ?? 1;
  if (format === 'f16' || format === 'bf16') {
    const bits = format === 'f16' ? halfBits : brainBits;
    for (let at = 0; at < data.length; at += 2) {
      data.writeUInt16LE(bits(((random() / 2 ** 31 - 1) * 1.7) / Math.sqrt(inputs)), at);
    }
    return { ...tensor, type: format, data };
  }
  for (let at = 0; at + 4 <= data.length; at += 4) data.writeUInt32LE(random(), at);
  const [offsets, scale] = SCALES[format];
  for (let block = 0; block < data.length; block += type.blockBytes) {
    for (const offset of offsets) data.writeUInt16LE(halfBits(scale / Math.sqrt(inputs)), block + offset);
  }
  return { ...tensor, type: format, data };
}

/** Numbers below 2^32: xorshift, from a text. */
function generator(text: string): () => number {
  let state = 88_172_645;
  for (const letter of text) state = (Math.imul(state, 31) + (letter.codePointAt(0) ?? 0)) >>> 0;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
}

const float = new Float32Array(1);
const floatBits = new Uint32Array(float.buffer);

function bitsOf(value: number): number {
  float[0] = value;
  return floatBits[0] as number;
}

/** The bits of a number as f16, rounded towards zero. */
function halfBits(value: number): number {
  const bits = bitsOf(value);
  const exponent = ((bits >>> 23) & 255) - 112;
  const sign = (bits >>> 16) & 0x8000;
  if (exponent > 0) return sign | (exponent << 10) | ((bits >>> 13) & 1023);
  // Less than the smallest normal number: the leading bit is written out.
  return sign | (exponent < -10 ? 0 : ((bits & 0x7fffff) | 0x800000) >>> (14 - exponent));
}

/** The bits of a number as bf16, rounded towards zero. */
function brainBits(value: number): number {
  return bitsOf(value) >>> 16;
}
