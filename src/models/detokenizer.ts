/**
 * Bytes of tokens in, whole characters out. A token may end within a character; the rest of it is held until the
 * next token completes it. Bytes that are not UTF-8 become U+FFFD, exactly as when the whole were decoded at once.
 * One for each running choice; used by the runner.
 */
export class Detokenizer {
  // A byte order mark is a character like any other when a model writes it.
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });

  /** The characters that these bytes complete; may be empty. */
  push(bytes: Uint8Array): string {
    return this.#decoder.decode(bytes, { stream: true });
  }

  /** What an incomplete character at the end turns into. The next `push` begins a new text. */
  flush(): string {
    return this.#decoder.decode();
  }
}
