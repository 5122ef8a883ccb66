/**
 * Adds up what the ranks' slices make of their parts of a layer's inputs, while llama.cpp computes the graph: each
 * product with one of the summed matrices is taken out, summed over all ranks and put back, before the graph goes on. A
 * tap belongs to one context.
 *
 * Each sum carries one number more: how many ranks want to abort. So all of them end a step at the same sum, and none
 * waits for one that has left.
 */
import { ShoalError } from '../../../shared/errors.js';
import type { SliceSums } from '../../contract.js';
import { type NodeCallback, nodeCallback } from '../binding/callbacks.js';
import type { Address } from '../binding/declarations.js';
import type { Native } from '../binding/native.js';
import { allocate, type NativeBlock } from '../binding/nativeMemory.js';
import { FIRST_SOURCE_OFFSET } from '../binding/tensors.js';

const BYTES_OF_FLOAT = 4;
const BYTES_OF_POINTER = 8;

export interface SumTapOptions {
  /** Addresses of the matrices, in the order of the graph. */
  readonly matrices: readonly Address[];
  /** Most rows of a step. */
  readonly rows: number;
  readonly hiddenSize: number;
}

/** Floats that a tap, and whoever sums with it, has of `SliceSums`. */
export function summedFloats(rows: number, hiddenSize: number): number {
  return rows * hiddenSize + 1;
}

export class SumTap {
  /** Of `summedFloats`, free between the sums of a step. */
  readonly buffer: Float32Array;
  readonly #native: Native;
  readonly #sums: SliceSums;
  readonly #callback: NodeCallback;
  readonly #bufferAddress: Address;
  /** The addresses of the matrices, as they stand in the nodes. */
  readonly #matrices: NativeBlock;
  readonly #count: number;
  #abortFlag: Uint8Array = new Uint8Array(1);
  #done = 0;
  #ended: 'no' | 'aborted' | { readonly error: unknown } = 'no';

  constructor(
    { native, sums }: { readonly native: Native; readonly sums: SliceSums },
    options: SumTapOptions,
  ) {
    this.#native = native;
    this.#sums = sums;
    this.buffer = sums.allocate(summedFloats(options.rows, options.hiddenSize));
    const { buffer, byteOffset, byteLength } = this.buffer;
    this.#bufferAddress = native.plain.addressOf(new Uint8Array(buffer, byteOffset, byteLength));
    this.#count = options.matrices.length;
    this.#matrices = allocate(Math.max(1, this.#count) * BYTES_OF_POINTER);
    new BigUint64Array(this.#matrices.buffer, 0, this.#count).set(options.matrices.map(BigInt));
    this.#callback = nodeCallback((node, ask) => (ask ? this.#wants(node) : this.#computed(node)));
  }

  get callback(): Address {
    return this.#callback.address;
  }

  /** Before a batch is computed. @param abortFlag of this rank */
  begin(abortFlag: Uint8Array): void {
    this.#abortFlag = abortFlag;
    this.#done = 0;
    this.#ended = 'no';
  }

  /**
   * After a batch was computed: how it ended.
   * @throws what a sum threw; `engine_error` when the graph did not hold each product once, in order
   */
  end(): 'computed' | 'aborted' {
    if (this.#ended === 'aborted') return 'aborted';
    if (this.#ended !== 'no') throw this.#ended.error;
    if (this.#done === this.#count) return 'computed';
    throw new ShoalError('engine_error', `A graph made ${this.#done} sums over the ranks of ${this.#count}.`);
  }

  free(): void {
    this.#callback.free();
    this.#matrices.free();
  }

  #wants(node: Address): boolean {
    if (this.#done === this.#count) return false;
    const expected = this.#matrices.address + this.#done * BYTES_OF_POINTER;
    const { compareBytes } = this.#native.plain;
    return compareBytes(node + FIRST_SOURCE_OFFSET, expected, BYTES_OF_POINTER) === 0;
  }

  /** @returns whether the graph goes on */
  #computed(node: Address): boolean {
    try {
      this.#sum(node);
    } catch (error) {
      // Native code is between here and the caller.
      this.#ended = { error };
    }
    return this.#ended === 'no';
  }

  #sum(node: Address): void {
    const { sizeBytes, get, set } = this.#native.tensor;
    const bytes = sizeBytes(node);
    this.#done += 1;
    // Of a step without outputs the last layer has no rows.
    if (bytes === 0) return;
    const length = bytes / BYTES_OF_FLOAT;
    if (length >= this.buffer.length) {
      throw new ShoalError('engine_error', `A sum of ${length} numbers is longer than a step can make.`);
    }
    get(node, this.#bufferAddress, 0, bytes);
    this.buffer[length] = this.#abortFlag[0] === 0 ? 0 : 1;
    this.#sums.sum(this.buffer.subarray(0, length + 1));
    if (this.buffer[length] !== 0) this.#ended = 'aborted';
    else set(node, this.#bufferAddress, 0, bytes);
  }
}
