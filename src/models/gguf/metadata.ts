/** Reading one metadata value, and typed access to a file's metadata. */
import { ShoalError } from '../../shared/errors.js';
import type { HeaderCursor } from './headerCursor.js';
import {
  type ArrayMetadata,
  type GgufFile,
  METADATA_TYPES,
  type MetadataScalar,
  type MetadataType,
  type MetadataValue,
  type ScalarType,
} from './types.js';

interface FixedType {
  readonly bytes: number;
  read(bytes: Buffer, at: number): MetadataScalar;
}

const exact = (value: bigint): number | bigint =>
  value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;

const FIXED: Readonly<Record<Exclude<ScalarType, 'string'>, FixedType>> = {
  uint8: { bytes: 1, read: (bytes, at) => bytes.readUInt8(at) },
  int8: { bytes: 1, read: (bytes, at) => bytes.readInt8(at) },
  uint16: { bytes: 2, read: (bytes, at) => bytes.readUInt16LE(at) },
  int16: { bytes: 2, read: (bytes, at) => bytes.readInt16LE(at) },
  uint32: { bytes: 4, read: (bytes, at) => bytes.readUInt32LE(at) },
  int32: { bytes: 4, read: (bytes, at) => bytes.readInt32LE(at) },
  float32: { bytes: 4, read: (bytes, at) => bytes.readFloatLE(at) },
  bool: { bytes: 1, read: (bytes, at) => bytes.readUInt8(at) !== 0 },
  uint64: { bytes: 8, read: (bytes, at) => exact(bytes.readBigUInt64LE(at)) },
  int64: { bytes: 8, read: (bytes, at) => exact(bytes.readBigInt64LE(at)) },
  float64: { bytes: 8, read: (bytes, at) => bytes.readDoubleLE(at) },
};

const LENGTH_PREFIX_BYTES = 8;

function readType(cursor: HeaderCursor, what: string): MetadataType {
  const id = cursor.uint32(`the type of ${what}`);
  const type = METADATA_TYPES[id];
  if (type === undefined) throw cursor.refusal(`${what} has the unknown metadata type ${id}`);
  return type;
}

/** @param keepArrayBytes arrays larger than this keep only their length */
export function readMetadataValue(cursor: HeaderCursor, key: string, keepArrayBytes: number): MetadataValue {
  const what = `the metadata \`${key}\``;
  const type = readType(cursor, what);
  if (type === 'array') return readArray(cursor, key, what, keepArrayBytes);
  if (type === 'string') return { type, value: cursor.text(what, cursor.remaining) };
  const fixed = FIXED[type];
  return { type, value: fixed.read(cursor.bytes(fixed.bytes, what), 0) };
}

function readArray(cursor: HeaderCursor, key: string, what: string, keepArrayBytes: number): ArrayMetadata {
  const elementType = readType(cursor, `the elements of ${what}`);
  if (elementType === 'array') throw cursor.refusal(`${what} is an array of arrays, which no engine reads`);
  const unitBytes = elementType === 'string' ? LENGTH_PREFIX_BYTES : FIXED[elementType].bytes;
  const length = cursor.count(unitBytes, `the length of ${what}`);
  const start = cursor.position;
  if (elementType === 'string') {
    const element = `a text in ${what}`;
    for (let index = 0; index < length; index++) cursor.skip(cursor.count(1, element), element);
  } else {
    cursor.skip(length * unitBytes, what);
  }
  const isKept = cursor.position - start <= keepArrayBytes;
  return new LazyArray(key, elementType, length, isKept ? cursor.again(start, cursor.position, what) : null);
}

/** An array that is decoded when it is first looked at: a vocabulary has hundreds of thousands of entries. */
class LazyArray implements ArrayMetadata {
  readonly type = 'array';
  readonly elementType: ScalarType;
  readonly length: number;
  readonly #key: string;
  #bytes: Buffer | null;
  #value: readonly MetadataScalar[] | null = null;

  constructor(key: string, elementType: ScalarType, length: number, bytes: Buffer | null) {
    this.#key = key;
    this.elementType = elementType;
    this.length = length;
    this.#bytes = bytes;
  }

  get value(): readonly MetadataScalar[] {
    if (this.#value === null) {
      if (this.#bytes === null) {
        throw new ShoalError(
          'model_unsupported',
          `The metadata \`${this.#key}\` has ${this.length} entries, more than are kept here.`,
        );
      }
      this.#value = this.#decode(this.#bytes);
      this.#bytes = null;
    }
    return this.#value;
  }

  #decode(bytes: Buffer): readonly MetadataScalar[] {
    const type = this.elementType;
    const values: MetadataScalar[] = [];
    if (type === 'string') {
      let at = 0;
      for (let index = 0; index < this.length; index++) {
        const end = at + LENGTH_PREFIX_BYTES + Number(bytes.readBigUInt64LE(at));
        values.push(bytes.toString('utf8', at + LENGTH_PREFIX_BYTES, end));
        at = end;
      }
    } else {
      const fixed = FIXED[type];
      for (let index = 0; index < this.length; index++) values.push(fixed.read(bytes, index * fixed.bytes));
    }
    return values;
  }
}

type Metadata = Pick<GgufFile, 'metadata'>;

function scalar(gguf: Metadata, key: string): MetadataScalar | null {
  const value = gguf.metadata.get(key);
  return value === undefined || value.type === 'array' ? null : value.value;
}

/** The text under this key; null when it is absent or no text. */
export function getString(gguf: Metadata, key: string): string | null {
  const value = scalar(gguf, key);
  return typeof value === 'string' ? value : null;
}

/** The number under this key; null when it is absent, no number, not finite or beyond 2^53. */
export function getNumber(gguf: Metadata, key: string): number | null {
  const value = scalar(gguf, key);
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

/** The array under this key, with its length; null when it is absent or no array. */
export function getArray(gguf: Metadata, key: string): ArrayMetadata | null {
  const value = gguf.metadata.get(key);
  return value?.type === 'array' ? value : null;
}

/** The texts under this key; null when it is absent or no array of texts. */
export function getStrings(gguf: Metadata, key: string): readonly string[] | null {
  const array = getArray(gguf, key);
  return array?.elementType === 'string' ? (array.value as readonly string[]) : null;
}

/** The numbers (or booleans as 0 and 1) under this key; null when it is absent or no array of such. */
export function getNumbers(gguf: Metadata, key: string): readonly number[] | null {
  const array = getArray(gguf, key);
  return array === null || array.elementType === 'string' ? null : array.value.map(Number);
}
