/** Memory that native code reads and writes while JavaScript holds a view of it. */
import koffi from 'koffi';
import type { Address } from './declarations.js';

export interface NativeBlock {
  readonly address: Address;
  readonly buffer: ArrayBuffer;
  /** The views become invalid: do not touch them afterwards. */
  free(): void;
}

/** Allocates zeroed memory that never moves. */
export function allocate(sizeBytes: number): NativeBlock {
  const pointer: unknown = koffi.alloc('uint8_t', sizeBytes);
  const buffer = koffi.view(pointer, sizeBytes);
  new Uint8Array(buffer).fill(0);
  return { address: Number(koffi.address(pointer)), buffer, free: () => koffi.free(pointer) };
}

/** A view of memory that the library owns; valid as long as the library says. */
export function viewOf(address: Address, sizeBytes: number): ArrayBuffer {
  return koffi.view(BigInt(address), sizeBytes);
}
