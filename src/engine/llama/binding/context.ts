/** Functions of llama.h on a context: its computation and what that leaves behind. */
import type { LibraryHandle } from 'koffi';
import type { Address, Declarations } from './declarations.js';
import type { Batch, ContextParameters } from './structs.js';

/** What `llama_decode` returns; everything below zero is a failure. */
export const DECODE_RESULT = { done: 0, noRoom: 1, aborted: 2 } as const;

export function contextFunctions(declarations: Declarations, llama: LibraryHandle) {
  const c = declarations.of(llama);
  return {
    defaultParameters: c<() => ContextParameters>('llama_context_params llama_context_default_params()'),
    create: c<(model: Address, parameters: ContextParameters) => Address>(
      'intptr_t llama_init_from_model(intptr_t model, llama_context_params parameters)',
    ),
    free: c<(context: Address) => void>('void llama_free(intptr_t context)'),
    cells: c<(context: Address) => number>('uint32_t llama_n_ctx(intptr_t context)'),
    batchRows: c<(context: Address) => number>('uint32_t llama_n_batch(intptr_t context)'),
    decode: c<(context: Address, batch: Batch) => number>(
      'int32_t llama_decode(intptr_t context, llama_batch batch)',
    ),
    /** Rows that asked for logits, one after the other in the order of the batch. */
    logits: c<(context: Address) => Address>('intptr_t llama_get_logits(intptr_t context)'),
    attachThreadPool: c<(context: Address, decode: Address, prefill: Address) => void>(
      'void llama_attach_threadpool(intptr_t context, intptr_t decode, intptr_t prefill)',
    ),
    detachThreadPool: c<(context: Address) => void>('void llama_detach_threadpool(intptr_t context)'),
  };
}
