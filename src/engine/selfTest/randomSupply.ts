/** Random weights, the same for the same tensor of the model in whichever shard it is, and under whatever number. */
import type { TensorInfo } from '../../models/gguf/types.js';
import type { TensorSource } from '../../models/sharding/shardModel.js';
import type { Address } from '../llama/binding/declarations.js';
import type { Native } from '../llama/binding/native.js';
import { fillWith, setPieces, type TensorSupply } from '../llama/shard/tensorSupply.js';

const BYTES_OF_FLOAT = 4;
/** Large enough that each layer moves the result, small enough that nothing overflows in a hundred of them. */
const WEIGHT_SPREAD = 0.35;
const NORM_SPREAD = 0.3;
const EMBEDDING_SPREAD = 2;

export class RandomSupply implements TensorSupply {
  readonly #native: Native;
  readonly #onUnlisted: ((name: string) => void) | null;

  /** @param onUnlisted is told of tensors that the architecture asks for and nobody has named; null = that fails */
  constructor(native: Native, onUnlisted: ((name: string) => void) | null = null) {
    this.#native = native;
    this.#onUnlisted = onUnlisted;
  }

  get fillUnlisted(): ((tensor: Address, name: string) => void) | undefined {
    const listener = this.#onUnlisted;
    if (listener === null) return undefined;
    return (tensor, name) => {
      listener(name);
      this.#fillRandomly(tensor, name);
    };
  }

  fill(tensor: Address, source: TensorSource): void {
    if (source.kind === 'untouched') return;
    if (source.kind === 'constant') fillWith(this.#native, tensor, source.value);
    else if (source.kind === 'tensor') this.#fillRandomly(tensor, source.tensor.name);
    else {
      const stored = new Uint8Array(randomTensor(source.tensor.name, source.tensor.elements).buffer);
      setPieces(this.#native, tensor, source.pieces, (from, target) =>
        target.set(stored.subarray(from, from + target.length)),
      );
    }
  }

  free(): void {
    // Nothing is held.
  }

  #fillRandomly(tensor: Address, name: string): void {
    const values = randomTensor(name, this.#native.tensor.sizeBytes(tensor) / BYTES_OF_FLOAT);
    this.#native.tensor.setBytes(tensor, new Uint8Array(values.buffer), 0, values.byteLength);
  }
}

/** @returns a reader of the random token embeddings, as they would be stored */
export function randomEmbeddings({
  name,
  elements,
}: TensorInfo): (offset: number, target: Uint8Array) => void {
  const stored = new Uint8Array(randomTensor(name, elements).buffer);
  return (offset, target) => target.set(stored.subarray(offset, offset + target.length));
}

/** By the linear congruential generator of Numerical Recipes. A plain loop: a runner makes millions when it starts. */
function randomTensor(name: string, elements: number): Float32Array {
  const { centre, spread } = weightsOf(name);
  const values = new Float32Array(elements);
  let state = seedOf(name);
  for (let index = 0; index < elements; index += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    values[index] = centre + (state / 2 ** 32 - 0.5) * spread;
  }
  return values;
}

/** Weights are uniform, half the spread to either side of the centre. */
function weightsOf(name: string): { readonly centre: number; readonly spread: number } {
  if (name.includes('norm') && name.endsWith('.weight')) return { centre: 1, spread: NORM_SPREAD };
  if (name.includes('ssm_a')) return { centre: -1, spread: 1 };
  return { centre: 0, spread: name.startsWith('token_embd') ? EMBEDDING_SPREAD : WEIGHT_SPREAD };
}

/** FNV-1a */
function seedOf(text: string): number {
  let state = 2_166_136_261;
  for (let index = 0; index < text.length; index += 1) {
    state = Math.imul(state ^ text.charCodeAt(index), 16_777_619);
  }
  return state >>> 0;
}
