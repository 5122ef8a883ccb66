/** What a GGUF file says about itself, as data. */
import type { TensorTypeName } from './tensorTypes.js';

/** Metadata types of the format, in the order of their ids. */
export const METADATA_TYPES = [
  'uint8',
  'int8',
  'uint16',
  'int16',
  'uint32',
  'int32',
  'float32',
  'bool',
  'string',
  'array',
  'uint64',
  'int64',
  'float64',
] as const;

export type MetadataType = (typeof METADATA_TYPES)[number];
export type ScalarType = Exclude<MetadataType, 'array'>;

/** 64-bit integers are numbers while these are exact (up to 2^53) and bigints beyond. */
export type MetadataScalar = number | bigint | boolean | string;

interface ScalarMetadata {
  readonly type: ScalarType;
  readonly value: MetadataScalar;
}

/** Arrays of arrays do not exist: llama.cpp refuses them, and so does the reader. */
export interface ArrayMetadata {
  readonly type: 'array';
  readonly elementType: ScalarType;
  /**
   * Decoded on first use. Throws a `ShoalError` (`model_unsupported`) when the array was larger than the reader was
   * told to keep.
   */
  readonly value: readonly MetadataScalar[];
  /** Number of elements; known also when the elements were not kept. */
  readonly length: number;
}

export type MetadataValue = ScalarMetadata | ArrayMetadata;

export interface TensorInfo {
  readonly name: string;
  readonly type: TensorTypeName;
  /** Innermost dimension first, as ggml counts: a weight matrix is `[inputs, outputs]`. */
  readonly dims: readonly number[];
  readonly elements: number;
  readonly sizeBytes: number;
  /** From the start of the data section, `dataOffset`. */
  readonly offset: number;
}

/** The header of one GGUF file. */
export interface GgufFile {
  readonly version: number;
  /** In the order of the file. */
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  readonly tensors: readonly TensorInfo[];
  /** Where the data section begins, in bytes from the start of the file. */
  readonly dataOffset: number;
  readonly fileBytes: number;
}

export const GGUF_MAGIC = 'GGUF';
/** Alignment of tensor data, in bytes, when `general.alignment` does not say. */
export const DEFAULT_ALIGNMENT_BYTES = 32;
/** Dimensions of a tensor, and bytes of its name: what ggml holds. */
export const MAXIMUM_DIMENSIONS = 4;
export const MAXIMUM_TENSOR_NAME_BYTES = 63;
/** Bytes of a metadata key: the format's own bound. */
export const MAXIMUM_KEY_BYTES = 65_535;

/** The next multiple of `alignment`. */
export function alignUp(offset: number, alignment: number): number {
  return Math.ceil(offset / alignment) * alignment;
}
