/**
 * Where the tensors of a shard get their data: from the mapped file, without a copy, where they stay in plain memory
 * of the CPU; else copied, as into a GPU's memory or into the layout that a CPU multiplies faster. Where files cannot
 * be mapped they are read.
 */
import type { TensorInfo } from '../../../models/gguf/types.js';
import { sourceBytes, type TensorPieces, type TensorSource } from '../../../models/sharding/shardModel.js';
import { ShoalError } from '../../../shared/errors.js';
import type { Address } from '../binding/declarations.js';
import type { FileMap } from '../binding/fileMap.js';
import type { Native } from '../binding/native.js';
import { allocate, viewOf } from '../binding/nativeMemory.js';
import { pointTensorAt } from '../binding/tensors.js';
import type { ModelFiles } from './modelFiles.js';

/** Gives a native tensor its data. */
export interface TensorSupply {
  /** @throws {ShoalError} `model_load_failed` when the data does not fit the tensor */
  fill(tensor: Address, source: TensorSource): void;
  /** For a tensor that the architecture asks for and the shard has not. @default loading fails */
  fillUnlisted?(tensor: Address, name: string): void;
  /** After the last of them. */
  end?(): void;
  /** After the model has been freed. */
  free(): void;
}

/** A tensor in one piece. */
const WHOLE = { offset: 0, strideBytes: 0, count: 1 } as const;
/** Of data in GGUF files, and of ggml's own buffers. */
const TENSOR_ALIGNMENT = 32;

export class FileSupply implements TensorSupply {
  readonly #native: Native;
  readonly #files: ModelFiles;
  /** By descriptor. */
  readonly #maps = new Map<number, FileMap>();
  /** What stays in use, by map. */
  readonly #kept = new Map<FileMap, { readonly offset: number; readonly sizeBytes: number }[]>();

  /** Takes over the files: they are closed with the supply. */
  constructor(native: Native, files: ModelFiles) {
    this.#native = native;
    this.#files = files;
    for (const { descriptor, fileBytes } of files.parts) {
      const map = native.mapFile?.(descriptor, fileBytes) ?? null;
      if (map === null) continue;
      this.#maps.set(descriptor, map);
      this.#kept.set(map, []);
    }
  }

  fill(tensor: Address, source: TensorSource): void {
    if (source.kind === 'untouched') return;
    const { tensor: functions } = this.#native;
    if (source.kind === 'constant') {
      fillWith(this.#native, tensor, source.value);
      return;
    }
    const { tensor: info } = source;
    const sizeBytes = functions.sizeBytes(tensor);
    if (sizeBytes !== sourceBytes(source)) {
      throw new ShoalError(
        'model_load_failed',
        `The tensor ${info.name} has ${sourceBytes(source)} bytes, and the architecture has ${sizeBytes} there.`,
      );
    }
    const pieces = source.kind === 'part' ? source.pieces : { ...WHOLE, sizeBytes };
    const { descriptor, offset } = this.#files.place(info);
    const map = this.#maps.get(descriptor);
    if (map === undefined) this.#copyFromFile(tensor, info, pieces);
    else if (pieces.count === 1) this.#fillFromMap(tensor, map, offset + pieces.offset, sizeBytes);
    else this.#joinFromMap(tensor, map, offset, pieces);
  }

  /** Pages that came with others, as the system reads far around what is asked for, are let go. */
  end(): void {
    for (const [map, kept] of this.#kept) {
      let at = 0;
      for (const { offset, sizeBytes } of kept.sort((a, b) => a.offset - b.offset)) {
        map.release(at, offset - at);
        at = Math.max(at, offset + sizeBytes);
      }
      map.release(at, map.sizeBytes - at);
    }
  }

  free(): void {
    for (const map of this.#maps.values()) map.unmap();
    this.#maps.clear();
    this.#files.close();
  }

  #fillFromMap(tensor: Address, map: FileMap, offset: number, sizeBytes: number): void {
    const { tensor: functions } = this.#native;
    map.populate(offset, sizeBytes);
    const address = map.address + offset;
    // A part of a tensor may begin where the kernels would not have one begin.
    if (address % TENSOR_ALIGNMENT === 0 && pointTensorAt(functions, tensor, address)) {
      this.#kept.get(map)?.push({ offset, sizeBytes });
      return;
    }
    functions.set(tensor, address, 0, sizeBytes);
    map.release(offset, sizeBytes);
  }

  #joinFromMap(tensor: Address, map: FileMap, offset: number, pieces: TensorPieces): void {
    const spanBytes = pieces.offset + (pieces.count - 1) * pieces.strideBytes + pieces.sizeBytes;
    map.populate(offset, spanBytes);
    const stored = new Uint8Array(viewOf(map.address + offset, spanBytes));
    setPieces(this.#native, tensor, pieces, (from, target) =>
      target.set(stored.subarray(from, from + target.length)),
    );
    map.release(offset, spanBytes);
  }

  #copyFromFile(tensor: Address, info: TensorInfo, pieces: TensorPieces): void {
    setPieces(this.#native, tensor, pieces, (from, target) => this.#files.read(info, from, target));
  }
}

/**
 * Gives a tensor the pieces, one after the other, at once: other layouts of memory take a tensor as a whole only.
 * @param read fills `target` with stored bytes, from `from` on
 */
export function setPieces(
  native: Native,
  tensor: Address,
  { offset, sizeBytes, strideBytes, count }: TensorPieces,
  read: (from: number, target: Uint8Array) => void,
): void {
  // Freed here: hundreds of such pieces would wait long for the garbage collector.
  const block = allocate(sizeBytes * count);
  try {
    const joined = new Uint8Array(block.buffer);
    for (let piece = 0; piece < count; piece += 1) {
      read(offset + piece * strideBytes, joined.subarray(piece * sizeBytes, (piece + 1) * sizeBytes));
    }
    native.tensor.set(tensor, block.address, 0, joined.length);
  } finally {
    block.free();
  }
}

export function fillWith(native: Native, tensor: Address, value: number): void {
  const bytes = Buffer.from(
    new Float32Array(native.tensor.sizeBytes(tensor) / Float32Array.BYTES_PER_ELEMENT).fill(value).buffer,
  );
  native.tensor.setBytes(tensor, bytes, 0, bytes.length);
}
