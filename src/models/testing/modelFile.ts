/** GGUF files for tests: a small Llama-like model whose sizes are easy to work out by hand. */
import type { WritableGguf, WritableMetadata, WritableTensor } from '../gguf/writer.js';

export interface TestModel {
  readonly architecture?: string;
  readonly layers?: number;
  readonly tied?: boolean;
  /** Put in place of, or beside, the usual metadata; null leaves an entry out. */
  readonly metadata?: Readonly<Record<string, WritableMetadata | null>>;
}

const TEST_HIDDEN = 64;
export const TEST_VOCABULARY = 100;
const FEED_FORWARD = 128;
/** Bytes of one layer: a matrix of q8_0 and a norm of f32. */
export const TEST_LAYER_BYTES = (TEST_HIDDEN / 32) * 34 * FEED_FORWARD + TEST_HIDDEN * 4;
export const TEST_HEAD_BYTES = TEST_HIDDEN * TEST_VOCABULARY * 2;
export const TEST_NORM_BYTES = TEST_HIDDEN * 4;

export const uint = (value: number): WritableMetadata => ({ type: 'uint32', value });
export const textValue = (value: string): WritableMetadata => ({ type: 'string', value });
export const uints = (value: readonly number[]): WritableMetadata => ({
  type: 'array',
  elementType: 'uint32',
  value,
});

export function testModel({
  architecture = 'llama',
  layers = 4,
  tied = true,
  metadata = {},
}: TestModel = {}): WritableGguf {
  const all: Record<string, WritableMetadata | null> = {
    'general.architecture': textValue(architecture),
    'general.name': textValue('Tiny'),
    'general.license': textValue('mit'),
    [`${architecture}.block_count`]: uint(layers),
    [`${architecture}.context_length`]: uint(2048),
    [`${architecture}.embedding_length`]: uint(TEST_HIDDEN),
    [`${architecture}.feed_forward_length`]: uint(FEED_FORWARD),
    [`${architecture}.attention.head_count`]: uint(4),
    [`${architecture}.attention.head_count_kv`]: uint(2),
    'tokenizer.ggml.model': textValue('gpt2'),
    'tokenizer.ggml.tokens': {
      type: 'array',
      elementType: 'string',
      value: Array.from({ length: TEST_VOCABULARY }, (_, index) => `t${index}`),
    },
    ...metadata,
  };
  return {
    metadata: Object.entries(all).flatMap(([key, value]) => (value === null ? [] : [[key, value] as const])),
    tensors: testTensors(layers, tied),
  };
}

function testTensors(layers: number, tied: boolean): WritableTensor[] {
  const head = (name: string): WritableTensor => ({
    name,
    dims: [TEST_HIDDEN, TEST_VOCABULARY],
    type: 'f16',
    data: new Uint8Array(TEST_HEAD_BYTES),
  });
  const norm = (name: string): WritableTensor => ({
    name,
    dims: [TEST_HIDDEN],
    type: 'f32',
    data: new Uint8Array(TEST_NORM_BYTES),
  });
  const blocks = Array.from({ length: layers }, (_, layer) => [
    norm(`blk.${layer}.attn_norm.weight`),
    {
      name: `blk.${layer}.ffn_up.weight`,
      dims: [TEST_HIDDEN, FEED_FORWARD],
      type: 'q8_0' as const,
      data: new Uint8Array(TEST_LAYER_BYTES - TEST_NORM_BYTES),
    },
  ]).flat();
  return [
    head('token_embd.weight'),
    ...blocks,
    norm('output_norm.weight'),
    ...(tied ? [] : [head('output.weight')]),
  ];
}
