/**
 * Where the tensors of a shard get their data: from the mapped file, without a copy, where they stay in plain memory
 * of the CPU; else copied, as into a GPU's memory or into the layout that a CPU multiplies faster. Where files cannot
 * be mapped they are read.
 */
import type { TensorInfo } from '../../../models/gguf/types.js';
import type { TensorSource } from '../../../models/sharding/shardModel.js';
import { ShoalError } from '../../../shared/errors.js';
import type { Address } from '../binding/declarations.js';
import type { FileMap } from '../binding/fileMap.js';
import type { Native } from '../binding/native.js';
import { pointTensorAt } from '../binding/tensors.js';
import type { ModelFiles } from './modelFiles.js';

/** Gives a native tensor its data. */
export interface TensorSupply {
  /** @throws {ShoalError} `model_load_failed` when the data does not fit the tensor */
  fill(tensor: Address, source: TensorSource): void;
  /** For a tensor that the architecture asks for and the shard has not. @default loading fails */
  fillUnlisted?(tensor: Address, name: string): void;
  /** After the model has been freed. */
  free(): void;
}

export class FileSupply implements TensorSupply {
  readonly #native: Native;
  readonly #files: ModelFiles;
  /** By descriptor. */
  readonly #maps = new Map<number, FileMap>();

  /** Takes over the files: they are closed with the supply. */
  constructor(native: Native, files: ModelFiles) {
    this.#native = native;
    this.#files = files;
    for (const { descriptor, fileBytes } of files.parts) {
      const map = native.mapFile?.(descriptor, fileBytes) ?? null;
      if (map !== null) this.#maps.set(descriptor, map);
    }
  }

  fill(tensor: Address, source: TensorSource): void {
    if (source.kind === 'untouched') return;
    const { tensor: functions } = this.#native;
    if (source.kind === 'constant') {
      fillWith(this.#native, tensor, source.value);
      return;
    }
    const info = source.tensor;
    const sizeBytes = functions.sizeBytes(tensor);
    if (sizeBytes !== info.sizeBytes) {
      throw new ShoalError(
        'model_load_failed',
        `The tensor ${info.name} has ${info.sizeBytes} bytes, and the architecture has ${sizeBytes} there.`,
      );
    }
    const { descriptor, offset } = this.#files.place(info);
    const map = this.#maps.get(descriptor);
    if (map === undefined) {
      this.#copyFromFile(tensor, info);
      return;
    }
    map.populate(offset, sizeBytes);
    if (pointTensorAt(functions, tensor, map.address + offset)) return;
    functions.set(tensor, map.address + offset, 0, sizeBytes);
    map.release(offset, sizeBytes);
  }

  free(): void {
    for (const map of this.#maps.values()) map.unmap();
    this.#maps.clear();
    this.#files.close();
  }

  /** At once: other layouts of memory take a tensor as a whole only. */
  #copyFromFile(tensor: Address, info: TensorInfo): void {
    const bytes = Buffer.allocUnsafeSlow(info.sizeBytes);
    this.#files.read(info, 0, bytes);
    this.#native.tensor.setBytes(tensor, bytes, 0, bytes.length);
  }
}

export function fillWith(native: Native, tensor: Address, value: number): void {
  const bytes = Buffer.from(
    new Float32Array(native.tensor.sizeBytes(tensor) / Float32Array.BYTES_PER_ELEMENT).fill(value).buffer,
  );
  native.tensor.setBytes(tensor, bytes, 0, bytes.length);
}
