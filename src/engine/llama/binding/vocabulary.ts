/** Functions of llama.h on a vocabulary: tokens, their kinds, text to tokens and back. */
import type { LibraryHandle } from 'koffi';
import type { Address, Declarations } from './declarations.js';

/** Bits of `enum llama_token_attr`. */
export const TOKEN_ATTRIBUTE = {
  unknown: 1 << 0,
  normal: 1 << 2,
  control: 1 << 3,
  stripsLeft: 1 << 7,
  stripsRight: 1 << 8,
} as const;

export function vocabularyFunctions(declarations: Declarations, llama: LibraryHandle) {
  const c = declarations.of(llama);
  return {
    size: c<(vocabulary: Address) => number>('int32_t llama_vocab_n_tokens(intptr_t vocabulary)'),
    text: c<(vocabulary: Address, token: number) => string>(
      'const char* llama_vocab_get_text(intptr_t vocabulary, int32_t token)',
    ),
    attributes: c<(vocabulary: Address, token: number) => number>(
      'int llama_vocab_get_attr(intptr_t vocabulary, int32_t token)',
    ),
    isEndOfGeneration: c<(vocabulary: Address, token: number) => boolean>(
      'bool llama_vocab_is_eog(intptr_t vocabulary, int32_t token)',
    ),
    beginToken: c<(vocabulary: Address) => number>('int32_t llama_vocab_bos(intptr_t vocabulary)'),
    endToken: c<(vocabulary: Address) => number>('int32_t llama_vocab_eos(intptr_t vocabulary)'),
    addsBegin: c<(vocabulary: Address) => boolean>('bool llama_vocab_get_add_bos(intptr_t vocabulary)'),
    /** Number of tokens, or minus the number when `limit` is too small for them. */
    tokenize: c<
      (
        vocabulary: Address,
        text: Uint8Array,
        textBytes: number,
        tokens: Int32Array,
        limit: number,
        addSpecial: boolean,
        parseSpecial: boolean,
      ) => number
    >(
      'int32_t llama_tokenize(intptr_t vocabulary, const uint8_t* text, int32_t textBytes, _Out_ int32_t* tokens, int32_t limit, bool addSpecial, bool parseSpecial)',
    ),
    /** Number of bytes, or minus the number when `limit` is too small for them. */
    tokenToPiece: c<
      (
        vocabulary: Address,
        token: number,
        piece: Uint8Array,
        limit: number,
        skipSpaces: number,
        special: boolean,
      ) => number
    >(
      'int32_t llama_token_to_piece(intptr_t vocabulary, int32_t token, _Out_ uint8_t* piece, int32_t limit, int32_t skipSpaces, bool special)',
    ),
  };
}
