/**
 * Reads the header of a GGUF file (versions 2 and 3, little endian): metadata and tensor table, no tensor data.
 * Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The file is untrusted: whatever is wrong with
 * it becomes a `ShoalError` (`model_unsupported`) that says what and where, before the engine, which would abort the
 * process, ever sees it. What this reader accepts, llama.cpp's own reader accepts too.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { ShoalError } from '../../shared/errors.js';
import { LIMITS } from '../../shared/limits.js';
import { HeaderCursor } from './headerCursor.js';
import { readMetadataValue } from './metadata.js';
import { tensorSizeBytes, tensorTypeOfId } from './tensorTypes.js';
import {
  alignUp,
  DEFAULT_ALIGNMENT_BYTES,
  GGUF_MAGIC,
  type GgufFile,
  MAXIMUM_DIMENSIONS,
  MAXIMUM_KEY_BYTES,
  MAXIMUM_TENSOR_NAME_BYTES,
  type MetadataValue,
  type TensorInfo,
} from './types.js';

export interface ReadGgufOptions {
  /**
   * Arrays with more bytes than this, such as vocabularies, keep only their length.
   * @default the whole header may be kept
   */
  readonly keepArrayBytes?: number;
}

/** Fewest bytes of a metadata entry (key length, type, one byte) and of a tensor entry. */
const METADATA_ENTRY_BYTES = 13;
const TENSOR_ENTRY_BYTES = 24;

/**
 * @throws ShoalError `model_not_found` when there is no such file, `model_unsupported` when it cannot be read or is
 *   malformed
 */
export function readGguf(path: string, options: ReadGgufOptions = {}): GgufFile {
  let descriptor: number | null = null;
  try {
    // Without O_NONBLOCK, opening a named pipe would wait for its writer for ever.
    descriptor = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) throw new ShoalError('model_unsupported', `${path} is not a regular file.`);
    const cursor = new HeaderCursor(descriptor, path, stat.size);
    return readHeader(cursor, options.keepArrayBytes ?? LIMITS.ggufHeaderBytes);
  } catch (thrown) {
    throw asShoalError(thrown, path);
  } finally {
    if (descriptor !== null) closeSync(descriptor);
  }
}

function asShoalError(thrown: unknown, path: string): unknown {
  if (!(thrown instanceof Error) || !('syscall' in thrown) || !('code' in thrown)) return thrown;
  return thrown.code === 'ENOENT'
    ? new ShoalError('model_not_found', `There is no file ${path}.`, { cause: thrown })
    : new ShoalError('model_unsupported', `${path} cannot be read: ${thrown.code}.`, { cause: thrown });
}

function readHeader(cursor: HeaderCursor, keepArrayBytes: number): GgufFile {
  const version = readVersion(cursor);
  const tensorCount = cursor.count(TENSOR_ENTRY_BYTES, 'the number of tensors');
  const metadataCount = cursor.count(METADATA_ENTRY_BYTES, 'the number of metadata entries');
  const metadata = readMetadata(cursor, metadataCount, keepArrayBytes);
  const alignment = readAlignment(cursor, metadata);
  const tensors = readTensors(cursor, tensorCount, alignment);
  const dataOffset = alignUp(cursor.position, alignment);
  for (const tensor of tensors) {
    if (dataOffset + tensor.offset + tensor.sizeBytes > cursor.fileBytes) {
      throw cursor.refusal(
        `the tensor \`${tensor.name}\` ends at byte ${dataOffset + tensor.offset + tensor.sizeBytes}, but the file ` +
          `has only ${cursor.fileBytes}; the download may be incomplete`,
      );
    }
  }
  return { version, metadata, tensors, dataOffset, fileBytes: cursor.fileBytes };
}

function readVersion(cursor: HeaderCursor): number {
  const magic = cursor.bytes(GGUF_MAGIC.length, 'the magic number').toString('latin1');
  if (magic !== GGUF_MAGIC) throw cursor.refusal('it does not begin with `GGUF`');
  const version = cursor.uint32('the version');
  if (version === 2 || version === 3) return version;
  // A small number in the upper bytes is a version in the other byte order.
  if (version !== 0 && version % 2 ** 16 === 0)
    throw cursor.refusal('it is big endian, which is not supported');
  throw cursor.refusal(`its version is ${version}; supported are 2 and 3`);
}

function readMetadata(
  cursor: HeaderCursor,
  count: number,
  keepArrayBytes: number,
): Map<string, MetadataValue> {
  const metadata = new Map<string, MetadataValue>();
  for (let index = 0; index < count; index++) {
    const key = cursor.text(`the key of metadata entry ${index}`, MAXIMUM_KEY_BYTES);
    if (metadata.has(key)) throw cursor.refusal(`the metadata \`${key}\` is there twice`);
    metadata.set(key, readMetadataValue(cursor, key, keepArrayBytes));
  }
  return metadata;
}

function readAlignment(cursor: HeaderCursor, metadata: ReadonlyMap<string, MetadataValue>): number {
  const entry = metadata.get('general.alignment');
  if (entry === undefined) return DEFAULT_ALIGNMENT_BYTES;
  const { type } = entry;
  if (type !== 'uint32') throw cursor.refusal(`\`general.alignment\` is of type ${type} instead of uint32`);
  const alignment = Number(entry.value);
  if (alignment === 0 || !Number.isInteger(Math.log2(alignment))) {
    throw cursor.refusal(`\`general.alignment\` is ${alignment}, which is not a power of two`);
  }
  return alignment;
}

function readTensors(cursor: HeaderCursor, count: number, alignment: number): TensorInfo[] {
  const tensors: TensorInfo[] = [];
  const names = new Set<string>();
  let expectedOffset = 0;
  for (let index = 0; index < count; index++) {
    const tensor = readTensor(cursor, index);
    if (names.has(tensor.name)) throw cursor.refusal(`the tensor \`${tensor.name}\` is there twice`);
    names.add(tensor.name);
    // llama.cpp demands that tensors follow each other without gaps; so no two of them can overlap either.
    if (tensor.offset !== expectedOffset) {
      throw cursor.refusal(
        `the tensor \`${tensor.name}\` begins at ${tensor.offset} of the data section instead of ${expectedOffset}`,
      );
    }
    expectedOffset = alignUp(tensor.offset + tensor.sizeBytes, alignment);
    tensors.push(tensor);
  }
  return tensors;
}

function readTensor(cursor: HeaderCursor, index: number): TensorInfo {
  const name = cursor.text(`the name of tensor ${index}`, MAXIMUM_TENSOR_NAME_BYTES);
  const what = `the tensor \`${name}\``;
  const dimensionCount = cursor.uint32(`the dimensions of ${what}`);
  if (dimensionCount > MAXIMUM_DIMENSIONS) {
    throw cursor.refusal(`${what} has ${dimensionCount} dimensions; supported are ${MAXIMUM_DIMENSIONS}`);
  }
  const dims = Array.from({ length: dimensionCount }, () => cursor.size(`a dimension of ${what}`));
  const typeId = cursor.uint32(`the type of ${what}`);
  const type = tensorTypeOfId(typeId);
  if (type === null) throw cursor.refusal(`${what} has the unknown number format ${typeId}`);
  const sizeBytes = tensorSizeBytes(type, dims);
  if (sizeBytes === null) {
    throw cursor.refusal(`${what} of shape [${dims.join(', ')}] cannot be stored as ${type.name}`);
  }
  const elements = dims.reduce((product, dim) => product * dim, 1);
  return { name, type: type.name, dims, elements, sizeBytes, offset: cursor.size(`the offset of ${what}`) };
}
