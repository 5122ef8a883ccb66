/** Text to tokens and back, as the model file defines it. Implemented by the engine on the model's vocabulary. */
export interface Tokenizer {
  readonly vocabularySize: number;
  /** Tokens that end a generation (end of text, end of turn, …). */
  readonly endTokens: ReadonlySet<number>;
  /** Texts of the tokens that begin and end a text; empty when the model has none. Chat templates use them. */
  readonly beginText: string;
  readonly endText: string;
  /** Texts of control tokens, such as `<|im_end|>`: what user text must never turn into. */
  readonly controlTexts: readonly string[];
  /** @param addBegin put the begin token in front, if the model wants one; not for rendered chat templates */
  encode(segments: readonly PromptSegment[], addBegin: boolean): Int32Array;
  /** UTF-8 bytes of one token, perhaps not whole characters; control tokens have none. */
  bytes(token: number): Uint8Array;
  /** Text of one token for people, control tokens included. */
  display(token: number): string;
}

/** A piece of a prompt. Control tokens are recognised only where `control` is true: in the template's own text. */
export interface PromptSegment {
  readonly text: string;
  readonly control: boolean;
}
