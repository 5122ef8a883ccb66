import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { ShoalError } from '../../shared/errors.js';
import { getArray, getNumber, getNumbers, getString, getStrings } from './metadata.js';
import { readGguf } from './reader.js';
import { TENSOR_TYPES, type TensorTypeName, tensorSizeBytes } from './tensorTypes.js';
import type { GgufFile, MetadataScalar, ScalarType } from './types.js';
import { type WritableGguf, type WritableMetadata, writeGguf } from './writer.js';

const folder = mkdtempSync(join(tmpdir(), 'shoal-gguf-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string) => join(folder, name);

const SMALL: WritableGguf = {
  metadata: [
    ['general.architecture', { type: 'string', value: 'llama' }],
    ['llama.block_count', { type: 'uint32', value: 2 }],
    ['tokenizer.ggml.tokens', { type: 'array', elementType: 'string', value: ['a', 'ß', '🐟', ''] }],
    ['tokenizer.ggml.token_type', { type: 'array', elementType: 'int32', value: [1, 3, -1, 6] }],
  ],
  tensors: [
    { name: 'token_embd.weight', dims: [2, 4], type: 'f32', data: new Uint8Array(32).fill(7) },
    { name: 'blk.0.attn_q.weight', dims: [32, 3], type: 'q4_0', data: new Uint8Array(54).fill(9) },
    { name: 'output_norm.weight', dims: [2], type: 'f16', data: new Uint8Array(4).fill(1) },
  ],
};

/** Bytes of the small file, to be spoilt. */
function smallBytes(): Buffer {
  const path = file('small.gguf');
  writeGguf(path, SMALL);
  return readFileSync(path);
}

function refused(bytes: Uint8Array, pattern: RegExp): void {
  const path = file('bad.gguf');
  writeFileSync(path, bytes);
  assert.throws(
    () => readGguf(path),
    (error) =>
      error instanceof ShoalError && error.code === 'model_unsupported' && pattern.test(error.message),
  );
}

describe('R61: GGUF header', () => {
  test('metadata and tensor table come back as written', () => {
    const path = file('round.gguf');
    writeGguf(path, SMALL);
    const gguf = readGguf(path);
    assert.equal(gguf.version, 3);
    assert.equal(getString(gguf, 'general.architecture'), 'llama');
    assert.equal(getNumber(gguf, 'llama.block_count'), 2);
    assert.deepEqual(getStrings(gguf, 'tokenizer.ggml.tokens'), ['a', 'ß', '🐟', '']);
    assert.deepEqual(getNumbers(gguf, 'tokenizer.ggml.token_type'), [1, 3, -1, 6]);
    assert.deepEqual(
      gguf.tensors.map(({ name, type, dims, offset, sizeBytes }) => [name, type, dims, offset, sizeBytes]),
      [
        ['token_embd.weight', 'f32', [2, 4], 0, 32],
        ['blk.0.attn_q.weight', 'q4_0', [32, 3], 32, 54],
        ['output_norm.weight', 'f16', [2], 96, 4],
      ],
    );
    assert.equal(readFileSync(path)[gguf.dataOffset + 32], 9);
    assert.equal(gguf.dataOffset % 32, 0);
  });

  test('version 2 reads like version 3', () => {
    const bytes = smallBytes();
    bytes.writeUInt32LE(2, 4);
    writeFileSync(file('two.gguf'), bytes);
    assert.equal(readGguf(file('two.gguf')).tensors.length, 3);
  });

  test('large arrays can be left in the file: their length stays known', () => {
    writeGguf(file('lazy.gguf'), SMALL);
    const gguf = readGguf(file('lazy.gguf'), { keepArrayBytes: 20 });
    assert.equal(getArray(gguf, 'tokenizer.ggml.tokens')?.length, 4);
    assert.throws(() => getStrings(gguf, 'tokenizer.ggml.tokens'), ShoalError);
    assert.deepEqual(getNumbers(gguf, 'tokenizer.ggml.token_type'), [1, 3, -1, 6]);
  });

  test('64-bit integers are exact, also beyond 2^53', () => {
    const values = [2n ** 64n - 1n, 5, 2 ** 53 - 1];
    writeGguf(file('wide.gguf'), {
      metadata: [['wide', { type: 'array', elementType: 'uint64', value: values }]],
      tensors: [],
    });
    assert.deepEqual(getArray(readGguf(file('wide.gguf')), 'wide')?.value, values);
  });

  test('what was read can be written again', () => {
    writeGguf(file('first.gguf'), SMALL);
    const first = readGguf(file('first.gguf'));
    writeGguf(file('second.gguf'), { metadata: first.metadata, tensors: SMALL.tensors });
    assert.deepEqual(readFileSync(file('second.gguf')), readFileSync(file('first.gguf')));
  });
});

describe('R61: a malformed GGUF file is refused with what and where', () => {
  test('no such file', () => {
    assert.throws(
      () => readGguf(file('absent.gguf')),
      (error) => error instanceof ShoalError && error.code === 'model_not_found',
    );
  });

  test('a folder', () => {
    assert.throws(
      () => readGguf(folder),
      (error) => error instanceof ShoalError && error.code === 'model_unsupported',
    );
  });

  test('an empty file and a wrong magic number', () => {
    refused(new Uint8Array(0), /ends within the magic number/);
    refused(Buffer.from('not a model at all'), /does not begin with `GGUF`/);
  });

  test('big endian and unknown versions', () => {
    const bytes = smallBytes();
    bytes.writeUInt32BE(3, 4);
    refused(bytes, /big endian/);
    bytes.writeUInt32LE(1, 4);
    refused(bytes, /version is 1/);
  });

  test('counts that the file cannot hold', () => {
    const tensors = smallBytes();
    tensors.writeBigUInt64LE(2n ** 40n, 8);
    refused(tensors, /number of tensors is 1099511627776/);
    const beyond = smallBytes();
    beyond.writeBigUInt64LE(2n ** 60n, 16);
    refused(beyond, /number of metadata entries is beyond 2\^53/);
    const key = smallBytes();
    key.writeBigUInt64LE(2n ** 33n, 24);
    refused(key, /the key of metadata entry 0/);
  });

  test('an unfinished download, and a truncated header', () => {
    const bytes = smallBytes();
    const { dataOffset } = readGguf(file('small.gguf'));
    refused(bytes.subarray(0, dataOffset + 90), /`output_norm.weight` ends at byte .* incomplete/);
    refused(bytes.subarray(0, 60), /incomplete|can hold/);
  });

  test('duplicate keys and tensors', () => {
    const twice = { type: 'uint8', value: 1 } as const;
    writeGguf(file('keys.gguf'), {
      metadata: [
        ['k', twice],
        ['k', twice],
      ],
      tensors: [],
    });
    refused(readFileSync(file('keys.gguf')), /`k` is there twice/);
    const tensor = { name: 't', dims: [1], type: 'f32', data: new Uint8Array(4) } as const;
    writeGguf(file('tensors.gguf'), { metadata: [], tensors: [tensor, tensor] });
    refused(readFileSync(file('tensors.gguf')), /`t` is there twice/);
  });

  test('an alignment that is no power of two, or of a wrong type', () => {
    const aligned = (type: ScalarType) => {
      writeGguf(file('align.gguf'), {
        metadata: [['general.alignment', { type, value: 64 }]],
        tensors: [],
      });
      return readFileSync(file('align.gguf'));
    };
    refused(aligned('int32'), /of type int32/);
    const bytes = aligned('uint32');
    const at = bytes.indexOf('general.alignment') + 'general.alignment'.length + 4;
    for (const alignment of [0, 48]) {
      bytes.writeUInt32LE(alignment, at);
      refused(bytes, new RegExp(`${alignment}, which is not a power of two`));
    }
  });

  test('an array of arrays', () => {
    writeGguf(file('nested.gguf'), {
      metadata: [['n', { type: 'array', elementType: 'uint32', value: [9] }]],
      tensors: [],
    });
    const bytes = readFileSync(file('nested.gguf'));
    bytes.writeUInt32LE(9, 24 + 8 + 1 + 4);
    refused(bytes, /array of arrays/);
  });

  test('an unknown number format, by its number', () => {
    const bytes = smallBytes();
    const at = bytes.indexOf('output_norm.weight') + 'output_norm.weight'.length + 4 + 8;
    bytes.writeUInt32LE(99, at);
    refused(bytes, /`output_norm.weight` has the unknown number format 99/);
  });

  test('rows that are not whole blocks, and shapes beyond 2^53', () => {
    const bytes = smallBytes();
    const at = bytes.indexOf('blk.0.attn_q.weight') + 'blk.0.attn_q.weight'.length + 4;
    bytes.writeBigUInt64LE(33n, at);
    refused(bytes, /shape \[33, 3\] cannot be stored as q4_0/);
    bytes.writeBigUInt64LE(2n ** 50n, at);
    bytes.writeBigUInt64LE(2n ** 50n, at + 8);
    refused(bytes, /cannot be stored/);
  });

  test('tensors that overlap', () => {
    const bytes = smallBytes();
    const at = bytes.indexOf('blk.0.attn_q.weight') + 'blk.0.attn_q.weight'.length + 4 + 16 + 4;
    bytes.writeBigUInt64LE(0n, at);
    refused(bytes, /begins at 0 of the data section instead of 32/);
  });
});

const SCALARS: Readonly<Record<ScalarType, fc.Arbitrary<MetadataScalar>>> = {
  uint8: fc.nat(0xff),
  int8: fc.integer({ min: -128, max: 127 }),
  uint16: fc.nat(0xffff),
  int16: fc.integer({ min: -32768, max: 32767 }),
  uint32: fc.nat(0xffffffff),
  int32: fc.integer(),
  float32: fc.float({ noNaN: true }),
  bool: fc.boolean(),
  string: fc.string({ unit: 'binary' }),
  uint64: fc.maxSafeNat(),
  int64: fc.maxSafeInteger(),
  float64: fc.double({ noNaN: true }),
};

const metadataValue: fc.Arbitrary<WritableMetadata> = fc.oneof(
  ...Object.entries(SCALARS).flatMap(([name, value]) => {
    const type = name as ScalarType;
    return [
      value.map((one): WritableMetadata => ({ type, value: one })),
      fc
        .array(value, { maxLength: 20 })
        .map((many): WritableMetadata => ({ type: 'array', elementType: type, value: many })),
    ];
  }),
);

const tensorType = fc.constantFrom(...TENSOR_TYPES);
const shape = fc.tuple(
  fc.integer({ min: 1, max: 2 }),
  fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 3 }),
);
const tensorBody = fc.tuple(tensorType, shape).chain(([type, [blocks, outer]]) => {
  const dims = [blocks * type.blockElements, ...outer];
  const size = tensorSizeBytes(type, dims)!;
  return fc.record({
    dims: fc.constant(dims),
    type: fc.constant<TensorTypeName>(type.name),
    data: fc.uint8Array({ minLength: size, maxLength: size }),
  });
});

const anyGguf: fc.Arbitrary<WritableGguf> = fc.record({
  metadata: fc.uniqueArray(fc.tuple(fc.string({ unit: 'binary' }), metadataValue), {
    selector: ([key]) => key,
    maxLength: 12,
  }),
  tensors: fc
    .array(tensorBody, { maxLength: 5 })
    .map((bodies) => bodies.map((body, index) => ({ name: `blk.${index}.weight`, ...body }))),
});

/** The header as plain data, for comparison. */
function plain(gguf: GgufFile) {
  return [...gguf.metadata].map(([key, value]) =>
    value.type === 'array'
      ? [key, value.type, value.elementType, value.value]
      : [key, value.type, value.value],
  );
}

describe('R61: laws of the GGUF reader', () => {
  test('every file that is written is read back the same', () => {
    const path = file('law.gguf');
    fc.assert(
      fc.property(anyGguf, (gguf) => {
        writeGguf(path, gguf);
        const read = readGguf(path);
        const bytes = readFileSync(path);
        assert.deepEqual(
          plain(read),
          [...gguf.metadata].map(([key, value]) =>
            value.type === 'array'
              ? [key, value.type, value.elementType, value.value]
              : [key, value.type, value.value],
          ),
        );
        for (const [index, tensor] of gguf.tensors.entries()) {
          const start = read.dataOffset + read.tensors[index]!.offset;
          assert.deepEqual(new Uint8Array(bytes.subarray(start, start + tensor.data.length)), tensor.data);
          assert.deepEqual(read.tensors[index]!.dims, tensor.dims);
        }
      }),
      { numRuns: 100 },
    );
  });

  test('R12: truncated or flipped bytes give a header or a coded refusal, never a crash', () => {
    const path = file('fuzz.gguf');
    const original = smallBytes();
    fc.assert(
      fc.property(
        fc.nat(original.length),
        fc.array(fc.tuple(fc.nat(original.length - 1), fc.nat(255)), { maxLength: 4 }),
        fc.boolean(),
        (length, flips, isCut) => {
          const bytes = Buffer.from(original);
          for (const [at, value] of flips) bytes[at] = value;
          writeFileSync(path, bytes);
          if (isCut) truncateSync(path, length);
          try {
            const gguf = readGguf(path);
            for (const value of gguf.metadata.values()) assert.ok(value.value !== undefined);
          } catch (error) {
            assert.ok(error instanceof ShoalError, String(error));
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
