/**
 * Takes the rows for the next shard out of a graph while it is computed, and puts the rows of the shard before into
 * it, where llama.cpp has no other way in or out. A tap belongs to one context. The graph ends where the rows are
 * taken: what llama.cpp would compute after that is of no use.
 */
import { type NodeCallback, nodeCallback } from '../binding/callbacks.js';
import type { Address } from '../binding/declarations.js';
import type { Native } from '../binding/native.js';
import { allocate, type NativeBlock } from '../binding/nativeMemory.js';

const BYTES_OF_FLOAT = 4;

export interface TapOptions {
  /** Names of nodes; null = nothing goes in, or comes out, here. */
  readonly inputNode: string | null;
  readonly outputNode: string | null;
  /** Most rows of a step. */
  readonly rows: number;
  readonly hiddenSize: number;
}

export class NodeTap {
  readonly #native: Native;
  readonly #callback: NodeCallback;
  /** The names as C texts. */
  readonly #names: { readonly input: NativeBlock | null; readonly output: NativeBlock | null };
  readonly #taken: NativeBlock;
  readonly #options: TapOptions;
  #input: { readonly address: Address; readonly sizeBytes: number } | null = null;
  #takenBytes = 0;
  #nameOffset = 0;

  constructor(native: Native, options: TapOptions) {
    this.#native = native;
    this.#options = options;
    this.#names = { input: cText(options.inputNode), output: cText(options.outputNode) };
    this.#taken = allocate(
      Math.max(1, options.outputNode === null ? 0 : options.rows * options.hiddenSize * BYTES_OF_FLOAT),
    );
    this.#callback = nodeCallback((tensor, ask) => (ask ? this.#wants(tensor) : this.#computed(tensor)));
  }

  get callback(): Address {
    return this.#callback.address;
  }

  /** Before a batch is computed: where its rows are, for the node that they are put in. */
  begin(rowsAddress: Address, rows: number): void {
    this.#takenBytes = 0;
    this.#input = { address: rowsAddress, sizeBytes: rows * this.#options.hiddenSize * BYTES_OF_FLOAT };
  }

  /** `[rows, hiddenSize]` as they were taken, or null when the graph gave none, or others; valid until the next batch. */
  taken(rows: number): Float32Array | null {
    const length = rows * this.#options.hiddenSize;
    if (this.#takenBytes !== length * BYTES_OF_FLOAT) return null;
    return new Float32Array(this.#taken.buffer, 0, length);
  }

  free(): void {
    this.#callback.free();
    this.#taken.free();
    this.#names.input?.free();
    this.#names.output?.free();
  }

  #wants(tensor: Address): boolean {
    if (this.#nameOffset === 0) this.#nameOffset = this.#native.tensor.nameAddress(tensor) - tensor;
    return this.#isNamed(tensor, this.#names.output) || this.#isNamed(tensor, this.#names.input);
  }

  /** @returns whether the graph goes on */
  #computed(tensor: Address): boolean {
    const { sizeBytes, set, get } = this.#native.tensor;
    const bytes = sizeBytes(tensor);
    if (this.#isNamed(tensor, this.#names.output)) {
      // llama.cpp may compute a batch in several graphs, in the order of its rows.
      if (this.#takenBytes + bytes <= this.#taken.buffer.byteLength) {
        get(tensor, this.#taken.address + this.#takenBytes, 0, bytes);
      }
      this.#takenBytes += bytes;
      return false;
    }
    // Of another size: nothing is taken in the end, and the step fails.
    if (this.#input === null || bytes !== this.#input.sizeBytes) return false;
    set(tensor, this.#input.address, 0, bytes);
    return true;
  }

  #isNamed(tensor: Address, name: NativeBlock | null): boolean {
    return name !== null && this.#native.plain.compareTexts(tensor + this.#nameOffset, name.address) === 0;
  }
}

function cText(text: string | null): NativeBlock | null {
  if (text === null) return null;
  const bytes = Buffer.from(`${text}\0`, 'latin1');
  const block = allocate(bytes.length);
  new Uint8Array(block.buffer).set(bytes);
  return block;
}
