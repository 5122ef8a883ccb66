/** The `Tokenizer` on a model's own vocabulary, through llama.cpp: the same tokens as llama.cpp's. */
import type { PromptSegment, Tokenizer } from '../../models/tokenizer.js';
import { ShoalError } from '../../shared/errors.js';
import type { Address } from './binding/declarations.js';
import type { Native } from './binding/native.js';
import { TOKEN_ATTRIBUTE } from './binding/vocabulary.js';
import { type ControlToken, splitAtControls } from './controlTokens.js';

/** Room for one token's text; a longer one is asked for again. */
const PIECE_BYTES = 256;
const NONE = -1;

export class LlamaTokenizer implements Tokenizer {
  readonly vocabularySize: number;
  readonly endTokens: ReadonlySet<number>;
  readonly beginText: string;
  readonly endText: string;
  readonly controlTexts: readonly string[];

  readonly #native: Native;
  readonly #vocabulary: Address;
  readonly #beginToken: number;
  readonly #addsBegin: boolean;
  readonly #controls: readonly ControlToken[];
  /** Bytes of the tokens that were asked for. */
  readonly #bytes: (Uint8Array | undefined)[];
  readonly #piece = Buffer.alloc(PIECE_BYTES);
  #closed = false;

  /** @param vocabulary stays valid until `close` is called */
  constructor(native: Native, vocabulary: Address) {
    const functions = native.vocabulary;
    this.#native = native;
    this.#vocabulary = vocabulary;
    this.vocabularySize = functions.size(vocabulary);
    this.#bytes = new Array(this.vocabularySize);
    this.#beginToken = functions.beginToken(vocabulary);
    this.#addsBegin = functions.addsBegin(vocabulary) && this.#beginToken !== NONE;
    this.beginText = this.#textOf(this.#beginToken);
    this.endText = this.#textOf(functions.endToken(vocabulary));

    const ends = new Set<number>();
    const controls: ControlToken[] = [];
    for (let token = 0; token < this.vocabularySize; token += 1) {
      const attributes = functions.attributes(vocabulary, token);
      if (attributes === TOKEN_ATTRIBUTE.normal) continue;
      if (functions.isEndOfGeneration(vocabulary, token)) ends.add(token);
      const control = this.#controlToken(token, attributes);
      if (control !== null) controls.push(control);
    }
    const end = functions.endToken(vocabulary);
    if (end !== NONE) ends.add(end);
    this.endTokens = ends;
    this.#controls = controls.sort((a, b) => b.text.length - a.text.length);
    this.controlTexts = this.#controls.map((control) => control.text);
  }

  encode(segments: readonly PromptSegment[], addBegin: boolean): Int32Array {
    this.#requireOpen();
    const chunks = splitAtControls(segments, this.#controls).map((part) =>
      typeof part === 'string' ? this.#tokenize(part) : Int32Array.of(part.token),
    );
    if (addBegin && this.#addsBegin) chunks.unshift(Int32Array.of(this.#beginToken));
    return concatenate(chunks);
  }

  bytes(token: number): Uint8Array {
    this.#requireToken(token);
    const cached = this.#bytes[token];
    if (cached !== undefined) return cached;
    const bytes = this.#pieceOf(token, false);
    this.#bytes[token] = bytes;
    return bytes;
  }

  display(token: number): string {
    this.#requireToken(token);
    return Buffer.from(this.#pieceOf(token, true)).toString('utf8');
  }

  /** The vocabulary is about to be freed: every later use throws. */
  close(): void {
    this.#closed = true;
  }

  /** Text without control tokens. Lone surrogates become U+FFFD; NUL is a character like any other. */
  #tokenize(text: string): Int32Array {
    const bytes = Buffer.from(text, 'utf8');
    // A token has at least one byte, but for what the vocabulary puts in front of the text.
    const tokens = new Int32Array(bytes.length + 2);
    const tokenize = (into: Int32Array): number =>
      this.#native.vocabulary.tokenize(
        this.#vocabulary,
        bytes,
        bytes.length,
        into,
        into.length,
        false,
        false,
      );
    const count = tokenize(tokens);
    if (count >= 0) return tokens.subarray(0, count);
    if (count === INT32_MINIMUM)
      throw new ShoalError('context_length_exceeded', 'The text is too long to be cut into tokens.');
    const larger = new Int32Array(-count);
    return larger.subarray(0, tokenize(larger));
  }

  #pieceOf(token: number, special: boolean): Uint8Array {
    const read = (into: Uint8Array): number =>
      this.#native.vocabulary.tokenToPiece(this.#vocabulary, token, into, into.length, 0, special);
    const length = read(this.#piece);
    if (length >= 0) return Uint8Array.from(this.#piece.subarray(0, length));
    const larger = Buffer.alloc(-length);
    return Uint8Array.from(larger.subarray(0, Math.max(0, read(larger))));
  }

  #controlToken(token: number, attributes: number): ControlToken | null {
    if ((attributes & (TOKEN_ATTRIBUTE.control | TOKEN_ATTRIBUTE.unknown)) === 0) return null;
    const text = this.#textOf(token);
    if (text === '') return null;
    return {
      token,
      text,
      stripsLeft: (attributes & TOKEN_ATTRIBUTE.stripsLeft) !== 0,
      stripsRight: (attributes & TOKEN_ATTRIBUTE.stripsRight) !== 0,
    };
  }

  #textOf(token: number): string {
    return token === NONE ? '' : this.#native.vocabulary.text(this.#vocabulary, token);
  }

  #requireToken(token: number): void {
    this.#requireOpen();
    if (Number.isInteger(token) && token >= 0 && token < this.vocabularySize) return;
    throw new ShoalError(
      'invalid_request',
      `Token ${token} is outside of the vocabulary of ${this.vocabularySize}.`,
    );
  }

  #requireOpen(): void {
    if (this.#closed) throw new ShoalError('engine_error', 'The vocabulary is closed.');
  }
}

const INT32_MINIMUM = -(2 ** 31);

function concatenate(chunks: readonly Int32Array[]): Int32Array {
  const all = new Int32Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    all.set(chunk, offset);
    offset += chunk.length;
  }
  return all;
}
