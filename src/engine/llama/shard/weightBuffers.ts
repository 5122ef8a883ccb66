/**
 * Which weights the CPU keeps in a layout of its own, because it multiplies them faster so. llama.cpp decides this by
 * asking its devices, but not for models that are made from metadata; so they are asked here in the same way, and told
 * to llama.cpp as overrides. A shard then computes with the very kernels that the whole model computes with.
 */
import { tensorTypeOfName } from '../../../models/gguf/tensorTypes.js';
import type { TensorInfo } from '../../../models/gguf/types.js';
import type { ShardModel } from '../../../models/sharding/shardModel.js';
import type { Address } from '../binding/declarations.js';
import type { Native } from '../binding/native.js';
import { allocate } from '../binding/nativeMemory.js';

export interface BufferOverrides {
  /** A list of pairs (pattern, buffer type) that ends with nulls; 0 = there are none. */
  readonly address: Address;
  /** Once the model has been freed. */
  free(): void;
}

/** Rows that llama.cpp asks about. */
const ASKED_ROWS = 512;
const ARENA_BYTES = 16_384;
const BYTES_OF_POINTER = 8;
const BYTES_OF_PAIR = 2 * BYTES_OF_POINTER;

/** Weights of layers that are looked up or convolved with, and not multiplied with rows. */
const NOT_MULTIPLIED = /(conv1d|_conv|_ape|tid2eid|rel_b)\.weight$/;

export function overrideBuffers(native: Native, shard: ShardModel): BufferOverrides {
  const bufferTypes = native.extraBufferTypes();
  if (bufferTypes.length === 0) return { address: 0, free: () => undefined };
  const answers = new Map<string, Address>();
  const chosen = new Map<Address, string[]>();
  for (const { name, source } of shard.tensors) {
    if ((source.kind !== 'tensor' && source.kind !== 'part') || !isMultiplied(name)) continue;
    const { type } = source.tensor;
    const { dims } = source.kind === 'part' ? source : source.tensor;
    const shape = `${type} ${dims.join(' ')}`;
    const answer = answers.get(shape) ?? chooseBuffer(native, bufferTypes, { type, dims });
    answers.set(shape, answer);
    if (answer !== 0) chosen.set(answer, [...(chosen.get(answer) ?? []), name]);
  }
  return listOf(chosen);
}

function isMultiplied(name: string): boolean {
  // Embeddings that are the head as well stay where tokens could be looked up in them.
  if (name === 'output.weight') return true;
  return name.startsWith('blk.') && name.endsWith('.weight') && !NOT_MULTIPLIED.test(name);
}

type Weight = Pick<TensorInfo, 'type' | 'dims'>;

/** The first buffer type in which the CPU multiplies with such a weight; 0 = plain memory. */
function chooseBuffer(native: Native, bufferTypes: readonly Address[], weight: Weight): Address {
  const dimensions = weight.dims.length;
  if (dimensions < 2 || dimensions > 3) return 0;
  return bufferTypes.find((bufferType) => canMultiply(native, bufferType, weight)) ?? 0;
}

function canMultiply({ tensor: c, cpu }: Native, bufferType: Address, weight: Weight): boolean {
  const arena = c.createArena({ mem_size: ARENA_BYTES, mem_buffer: 0, no_alloc: true });
  const create = (type: 'f32' | 'i32' | TensorInfo['type'], dims: readonly number[]): Address =>
    c.create(arena, tensorTypeOfName(type).id, dims.length, BigInt64Array.from(dims, BigInt));
  let buffer = 0;
  try {
    const matrix = create(weight.type, weight.dims);
    // Reserved and never touched.
    buffer = c.allocateBuffer(bufferType, c.allocatedBytes(bufferType, matrix));
    if (buffer === 0 || c.place(buffer, matrix, c.bufferBase(buffer)) !== 0) return false;
    const inputs = weight.dims[0] ?? 1;
    const operation =
      weight.dims.length === 2
        ? c.multiply(arena, matrix, create('f32', [inputs, ASKED_ROWS]))
        : c.multiplyChosen(
            arena,
            matrix,
            create('f32', [inputs, 1, ASKED_ROWS]),
            create('i32', [1, ASKED_ROWS]),
          );
    return c.supportsOperation(cpu, operation);
  } finally {
    if (buffer !== 0) c.freeBuffer(buffer);
    c.freeArena(arena);
  }
}

/** Everything in one block: the pairs first, the patterns behind them. */
function listOf(chosen: ReadonlyMap<Address, readonly string[]>): BufferOverrides {
  const pairs = [...chosen].flatMap(([bufferType, names]) =>
    patternsOf(names).map((pattern) => ({ bufferType, text: Buffer.from(`${pattern}\0`, 'latin1') })),
  );
  const textsAt = (pairs.length + 1) * BYTES_OF_PAIR;
  const block = allocate(textsAt + pairs.reduce((sum, { text }) => sum + text.length, 0));
  const bytes = Buffer.from(block.buffer);
  let textAt = textsAt;
  for (const [index, { bufferType, text }] of pairs.entries()) {
    bytes.writeBigUInt64LE(BigInt(block.address + textAt), index * BYTES_OF_PAIR);
    bytes.writeBigUInt64LE(BigInt(bufferType), index * BYTES_OF_PAIR + BYTES_OF_POINTER);
    text.copy(bytes, textAt);
    textAt += text.length;
  }
  return { address: block.address, free: () => block.free() };
}

/** One regular expression for each name of a tensor within its layer, so that few have to be tried. */
function patternsOf(names: readonly string[]): string[] {
  const layers = new Map<string, string[]>();
  for (const name of names) {
    const match = /^blk\.(\d+)\.(.*)$/.exec(name);
    const within = match?.[2] ?? name;
    layers.set(within, [...(layers.get(within) ?? []), match?.[1] ?? '']);
  }
  return [...layers].map(([within, numbers]) => {
    const escaped = within.replaceAll('.', '\\.');
    return numbers[0] === '' ? `^${escaped}$` : `^blk\\.(${numbers.join('|')})\\.${escaped}$`;
  });
}
