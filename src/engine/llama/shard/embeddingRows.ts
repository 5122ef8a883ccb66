/** Looks tokens up in the embeddings of the model file: only the rows that are used are ever read. */
import { tensorTypeOfName } from '../../../models/gguf/tensorTypes.js';
import type { TensorInfo } from '../../../models/gguf/types.js';
import { ShoalError } from '../../../shared/errors.js';
import type { Address } from '../binding/declarations.js';
import type { Native } from '../binding/native.js';
import { viewOf } from '../binding/nativeMemory.js';
import { type RowDecoder, rowDecoder } from '../binding/rowDecoder.js';

const BYTES_OF_FLOAT = 4;

/** Stored bytes of an embedding. */
type ReadEmbedding = (offset: number, target: Uint8Array) => void;

export interface EmbeddingTable {
  readonly info: Pick<TensorInfo, 'type' | 'dims'>;
  /** What each number is multiplied with. */
  readonly factor: number;
  readonly read: ReadEmbedding;
}

export class EmbeddingRows {
  readonly #table: EmbeddingTable;
  readonly #decode: RowDecoder;
  readonly #stored: Buffer;
  readonly #width: number;

  /** @throws {ShoalError} `model_unsupported` when their number format cannot be read row by row */
  constructor(native: Native, table: EmbeddingTable) {
    const { info } = table;
    const decode = rowDecoder(native.tensor, info.type);
    if (decode === null) {
      throw new ShoalError('model_unsupported', `Embeddings in the format ${info.type} cannot be looked up.`);
    }
    const { blockElements, blockBytes } = tensorTypeOfName(info.type);
    this.#decode = decode;
    this.#table = table;
    this.#width = info.dims[0] ?? 0;
    this.#stored = Buffer.alloc((this.#width / blockElements) * blockBytes);
  }

  /** Writes one row of f32 for each token to `target`. */
  write(tokens: Int32Array, target: Address): void {
    const rowBytes = this.#width * BYTES_OF_FLOAT;
    for (const [row, token] of tokens.entries()) {
      this.#table.read(token * this.#stored.length, this.#stored);
      this.#decode(this.#stored, target + row * rowBytes, this.#width);
    }
    const { factor } = this.#table;
    if (factor === 1) return;
    const values = new Float32Array(viewOf(target, tokens.length * rowBytes));
    for (let index = 0; index < values.length; index += 1) {
      values[index] = (values[index] as number) * factor;
    }
  }
}
