/** The user's model file, or all parts of it, open for reading: one header, and bytes of tensors wherever they lie. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { readGguf } from '../../../models/gguf/reader.js';
import type { GgufFile, TensorInfo } from '../../../models/gguf/types.js';
import { joinParts, parseSplitName, partPaths } from '../../../models/splitFiles.js';
import { ShoalError } from '../../../shared/errors.js';

interface Part {
  readonly path: string;
  readonly descriptor: number;
  readonly fileBytes: number;
}

export interface TensorPlace extends Part {
  /** From the start of the file. */
  readonly offset: number;
}

/** Lists by layer are kept, vocabularies are not. */
const KEEP_ARRAY_BYTES = 64 * 1024;

export class ModelFiles {
  /** The header of the whole model. */
  readonly gguf: GgufFile;
  readonly parts: readonly Part[];
  readonly #places: ReadonlyMap<TensorInfo, TensorPlace>;

  /**
   * @param path of the only file, or of any part
   * @throws {ShoalError} `model_not_found` or `model_unsupported`
   */
  constructor(path: string) {
    const split = parseSplitName(path);
    const paths = split === null ? [path] : partPaths(split);
    const headers = paths.map((part) => readGguf(part, { keepArrayBytes: KEEP_ARRAY_BYTES }));
    this.gguf = headers.length === 1 ? (headers[0] as GgufFile) : joinParts(headers, path);
    this.parts = openParts(paths);
    this.#places = new Map(
      headers.flatMap((header, index) =>
        header.tensors.map((tensor) => {
          const offset = header.dataOffset + tensor.offset;
          return [tensor, { ...(this.parts[index] as Part), offset }] as const;
        }),
      ),
    );
  }

  /** @param tensor one of `gguf.tensors` */
  place(tensor: TensorInfo): TensorPlace {
    return this.#places.get(tensor) as TensorPlace;
  }

  /**
   * Reads bytes of a tensor, from `from` on, until `target` is full.
   * @throws {ShoalError} `model_load_failed` when the file has become shorter
   */
  read(tensor: TensorInfo, from: number, target: Uint8Array): void {
    const { path, descriptor, offset } = this.place(tensor);
    let done = 0;
    while (done < target.length) {
      const count = readSync(descriptor, target, done, target.length - done, offset + from + done);
      if (count === 0) throw new ShoalError('model_load_failed', `${path} became shorter while it was read.`);
      done += count;
    }
  }

  close(): void {
    for (const { descriptor } of this.parts) closeSync(descriptor);
  }
}

function openParts(paths: readonly string[]): Part[] {
  const parts: Part[] = [];
  try {
    for (const path of paths) {
      const descriptor = openSync(path, 'r');
      parts.push({ path, descriptor, fileBytes: fstatSync(descriptor).size });
    }
  } catch (error) {
    for (const { descriptor } of parts) closeSync(descriptor);
    throw error;
  }
  return parts;
}
