/** Functions of gguf.h: metadata and tensor table, parsed from memory. */
import type { LibraryHandle } from 'koffi';
import type { Address, Declarations } from './declarations.js';
import type { GgufParameters } from './structs.js';

export function ggufFunctions(declarations: Declarations, base: LibraryHandle) {
  const c = declarations.of(base);
  return {
    /** Null when the bytes are no header. With `no_alloc` the data behind the header need not be there. */
    fromBuffer: c<(bytes: Uint8Array, sizeBytes: number, parameters: GgufParameters) => Address>(
      'intptr_t gguf_init_from_buffer(const uint8_t* bytes, size_t size, gguf_init_params parameters)',
    ),
    free: c<(gguf: Address) => void>('void gguf_free(intptr_t gguf)'),
  };
}
