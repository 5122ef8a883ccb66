/** The logits of a step as views on llama.cpp's own output buffer: nothing is copied. */
import type { Address } from './binding/declarations.js';
import type { Native } from './binding/native.js';
import { viewOf } from './binding/nativeMemory.js';

const BYTES_OF_FLOAT = 4;

export class LogitsView {
  readonly #native: Native;
  readonly #context: Address;
  readonly #vocabularySize: number;
  /** The last view; the buffer stays in place as long as no step asks for more rows than any before. */
  #address = 0;
  #buffer = new ArrayBuffer(0);

  constructor(native: Native, context: Address, vocabularySize: number) {
    this.#native = native;
    this.#context = context;
    this.#vocabularySize = vocabularySize;
  }

  /** `[rows][vocabularySize]` in the order of the rows that asked; valid until the next step. */
  rows(count: number): Float32Array[] {
    const address = this.#native.context.logits(this.#context);
    const rowBytes = this.#vocabularySize * BYTES_OF_FLOAT;
    if (address !== this.#address || this.#buffer.byteLength < count * rowBytes) {
      this.#buffer = count === 0 ? new ArrayBuffer(0) : viewOf(address, count * rowBytes);
      this.#address = address;
    }
    return Array.from(
      { length: count },
      (_, row) => new Float32Array(this.#buffer, row * rowBytes, this.#vocabularySize),
    );
  }
}
