/** Metadata that llama.cpp shall take instead of what a file says: a list of `struct llama_model_kv_override`. */
import type { Address } from './declarations.js';
import { allocate, type NativeBlock } from './nativeMemory.js';

/** `enum llama_model_kv_override_type` */
const TYPE = { integer: 0, text: 3 } as const;

const KEY_OFFSET = 4;
const KEY_BYTES = 128;
const VALUE_OFFSET = 136;
const TEXT_BYTES = 128;
const ENTRY_BYTES = VALUE_OFFSET + TEXT_BYTES;

export interface MetadataOverrides {
  readonly address: Address;
  free(): void;
}

export function metadataOverrides(entries: Readonly<Record<string, number | string>>): MetadataOverrides {
  const list = Object.entries(entries);
  // The last entry, with an empty key, ends the list.
  const block: NativeBlock = allocate((list.length + 1) * ENTRY_BYTES);
  const bytes = Buffer.from(block.buffer);
  for (const [index, [key, value]] of list.entries()) {
    const at = index * ENTRY_BYTES;
    bytes.writeInt32LE(typeof value === 'string' ? TYPE.text : TYPE.integer, at);
    bytes.write(key, at + KEY_OFFSET, KEY_BYTES - 1, 'latin1');
    if (typeof value === 'string') bytes.write(value, at + VALUE_OFFSET, TEXT_BYTES - 1, 'latin1');
    else bytes.writeBigInt64LE(BigInt(value), at + VALUE_OFFSET);
  }
  return { address: block.address, free: () => block.free() };
}
