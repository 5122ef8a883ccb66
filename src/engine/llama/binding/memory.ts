/** Functions of llama.h on the KV cache of a context. Ranges are half open; -1 as their end means "to the last". */
import type { LibraryHandle } from 'koffi';
import type { Address, Declarations } from './declarations.js';

export function memoryFunctions(declarations: Declarations, llama: LibraryHandle) {
  const c = declarations.of(llama);
  return {
    /** Null for models that keep none, such as encoders. */
    of: c<(context: Address) => Address>('intptr_t llama_get_memory(intptr_t context)'),
    /** False when the model cannot forget a part of a sequence. */
    remove: c<(memory: Address, sequence: number, from: number, end: number) => boolean>(
      'bool llama_memory_seq_rm(intptr_t memory, int32_t sequence, int32_t from, int32_t end)',
    ),
    copy: c<(memory: Address, source: number, target: number, from: number, end: number) => void>(
      'void llama_memory_seq_cp(intptr_t memory, int32_t source, int32_t target, int32_t from, int32_t end)',
    ),
    lastPosition: c<(memory: Address, sequence: number) => number>(
      'int32_t llama_memory_seq_pos_max(intptr_t memory, int32_t sequence)',
    ),
  };
}
