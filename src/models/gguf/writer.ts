/**
 * Writes a GGUF file (version 3, little endian): for tests, tiny self-test models and tools. Tensors are written one
 * after the other in the given order, each at a multiple of the alignment.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { type TensorTypeName, tensorSizeBytes, tensorTypeOfName } from './tensorTypes.js';
import {
  alignUp,
  DEFAULT_ALIGNMENT_BYTES,
  GGUF_MAGIC,
  METADATA_TYPES,
  type MetadataScalar,
  type MetadataType,
  type ScalarType,
} from './types.js';

const GGUF_VERSION = 3;

/** `length` may be absent: what `readGguf` returned can be written as it is. */
export type WritableMetadata =
  | { readonly type: ScalarType; readonly value: MetadataScalar }
  | {
      readonly type: 'array';
      readonly elementType: ScalarType;
      readonly value: readonly MetadataScalar[];
    };

export interface DescribedTensor {
  readonly name: string;
  /** Innermost dimension first. */
  readonly dims: readonly number[];
  readonly type: TensorTypeName;
}

export interface WritableTensor extends DescribedTensor {
  readonly data: Uint8Array;
}

export interface WritableGguf {
  readonly metadata: Iterable<readonly [key: string, value: WritableMetadata]>;
  readonly tensors: readonly WritableTensor[];
}

/** Creates or replaces the file. Throws a `RangeError` when data does not have the size that shape and type say. */
export function writeGguf(path: string, gguf: WritableGguf): void {
  const metadata = [...gguf.metadata];
  const alignmentEntry = metadata.find(([key]) => key === 'general.alignment')?.[1];
  const alignment = alignmentEntry === undefined ? DEFAULT_ALIGNMENT_BYTES : Number(alignmentEntry.value);
  for (const { name, type, dims, data } of gguf.tensors) {
    if (tensorSizeBytes(tensorTypeOfName(type), dims) === data.length) continue;
    throw new RangeError(`${name}: ${data.length} bytes do not make a ${type} tensor [${dims.join(', ')}]`);
  }
  const header = encodeGgufHeader(metadata, gguf.tensors, alignment);

  const descriptor = openSync(path, 'w');
  try {
    let position = writeAll(descriptor, header);
    const dataOffset = alignUp(position, alignment);
    for (const tensor of gguf.tensors) {
      const padding = alignUp(position, alignment) - position;
      position += writeAll(descriptor, Buffer.alloc(padding)) + writeAll(descriptor, tensor.data);
    }
    writeAll(descriptor, Buffer.alloc(Math.max(dataOffset, alignUp(position, alignment)) - position));
  } finally {
    closeSync(descriptor);
  }
}

function writeAll(descriptor: number, bytes: Uint8Array): number {
  let done = 0;
  while (done < bytes.length) done += writeSync(descriptor, bytes, done);
  return done;
}

/**
 * The head of a file: metadata and tensor table, without the data that follows.
 * Throws a `RangeError` when a tensor of this shape cannot be stored in its type.
 */
export function encodeGgufHeader(
  metadata: readonly (readonly [string, WritableMetadata])[],
  tensors: readonly DescribedTensor[],
  alignment = DEFAULT_ALIGNMENT_BYTES,
): Buffer {
  const parts = [
    Buffer.from(GGUF_MAGIC, 'latin1'),
    encodeScalar('uint32', GGUF_VERSION),
    encodeScalar('uint64', tensors.length),
    encodeScalar('uint64', metadata.length),
  ];
  for (const [key, value] of metadata) {
    parts.push(encodeScalar('string', key), encodeType(value.type));
    if (value.type === 'array') {
      parts.push(encodeType(value.elementType), encodeScalar('uint64', value.value.length));
      for (const element of value.value) parts.push(encodeScalar(value.elementType, element));
    } else {
      parts.push(encodeScalar(value.type, value.value));
    }
  }
  let offset = 0;
  for (const tensor of tensors) {
    const type = tensorTypeOfName(tensor.type);
    const sizeBytes = tensorSizeBytes(type, tensor.dims);
    if (sizeBytes === null) {
      throw new RangeError(`${tensor.name}: [${tensor.dims.join(', ')}] cannot be stored as ${tensor.type}`);
    }
    parts.push(encodeScalar('string', tensor.name), encodeScalar('uint32', tensor.dims.length));
    for (const dim of tensor.dims) parts.push(encodeScalar('uint64', dim));
    parts.push(encodeScalar('uint32', type.id), encodeScalar('uint64', offset));
    offset = alignUp(offset + sizeBytes, alignment);
  }
  return Buffer.concat(parts);
}

function encodeType(type: MetadataType): Buffer {
  return encodeScalar('uint32', METADATA_TYPES.indexOf(type));
}

const FIXED_ENCODERS: Readonly<
  Record<Exclude<ScalarType, 'string'>, readonly [bytes: number, (to: Buffer, value: MetadataScalar) => void]>
> = {
  uint8: [1, (to, value) => to.writeUInt8(Number(value))],
  int8: [1, (to, value) => to.writeInt8(Number(value))],
  uint16: [2, (to, value) => to.writeUInt16LE(Number(value))],
  int16: [2, (to, value) => to.writeInt16LE(Number(value))],
  uint32: [4, (to, value) => to.writeUInt32LE(Number(value))],
  int32: [4, (to, value) => to.writeInt32LE(Number(value))],
  float32: [4, (to, value) => to.writeFloatLE(Number(value))],
  bool: [1, (to, value) => to.writeUInt8(value === true ? 1 : 0)],
  uint64: [8, (to, value) => to.writeBigUInt64LE(BigInt(value))],
  int64: [8, (to, value) => to.writeBigInt64LE(BigInt(value))],
  float64: [8, (to, value) => to.writeDoubleLE(Number(value))],
};

function encodeScalar(type: ScalarType, value: MetadataScalar): Buffer {
  if (type === 'string') {
    const text = Buffer.from(String(value), 'utf8');
    return Buffer.concat([encodeScalar('uint64', text.length), text]);
  }
  const [bytes, write] = FIXED_ENCODERS[type];
  const buffer = Buffer.alloc(bytes);
  write(buffer, value);
  return buffer;
}
