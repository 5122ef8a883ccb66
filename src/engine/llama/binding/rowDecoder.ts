/** Turns stored rows of any number format into f32 with ggml's own functions, as its graphs do when they look rows up. */
import koffi from 'koffi';
import { type TensorTypeName, tensorTypeOfName } from '../../../models/gguf/tensorTypes.js';
import type { Address } from './declarations.js';
import { viewOf } from './nativeMemory.js';
import type { tensorFunctions } from './tensors.js';

/** Writes `elements` numbers of a stored row to `target`. */
export type RowDecoder = (stored: Uint8Array, target: Address, elements: number) => void;

/** Places in `struct ggml_type_traits` of the pinned release, in bytes. */
const BLOCK_ELEMENTS_OFFSET = 8;
const BLOCK_BYTES_OFFSET = 24;
const TO_FLOAT_OFFSET = 40;
const TRAITS_BYTES = 48;

const DECODE_PROTOTYPE = koffi.proto(
  'void ggml_to_float_function(const uint8_t* stored, intptr_t target, int64_t elements)',
);

/** @returns null for formats that cannot be decoded, and when the library's table is laid out unexpectedly */
export function rowDecoder(
  functions: ReturnType<typeof tensorFunctions>,
  typeName: TensorTypeName,
): RowDecoder | null {
  if (typeName === 'f32') return copyFloats;
  const type = tensorTypeOfName(typeName);
  const address = functions.typeTraits(type.id);
  if (address === 0) return null;
  const traits = new DataView(viewOf(address, TRAITS_BYTES));
  const number = (offset: number): number => Number(traits.getBigInt64(offset, true));
  if (number(BLOCK_ELEMENTS_OFFSET) !== type.blockElements) return null;
  if (number(BLOCK_BYTES_OFFSET) !== type.blockBytes) return null;
  const decode = traits.getBigUint64(TO_FLOAT_OFFSET, true);
  if (decode === 0n) return null;
  return (stored, target, elements) => {
    koffi.call(decode, DECODE_PROTOTYPE, stored, target, elements);
  };
}

function copyFloats(stored: Uint8Array, target: Address, elements: number): void {
  new Uint8Array(viewOf(target, elements * Float32Array.BYTES_PER_ELEMENT)).set(stored);
}
