import type { PromptSegment, Tokenizer } from '../../models/tokenizer.js';

const CONTROL = ['<begin>', '<end>', '<turn>'];
const BYTES = 256;

/** One token a byte, and three control tokens. */
export class ByteTokenizer implements Tokenizer {
  readonly vocabularySize = BYTES + CONTROL.length;
  readonly endTokens: ReadonlySet<number> = new Set([BYTES + 1]);
  readonly beginText = CONTROL[0]!;
  readonly endText = CONTROL[1]!;
  readonly controlTexts = CONTROL;

  encode(segments: readonly PromptSegment[], addBegin: boolean): Int32Array {
    const tokens = segments.flatMap(({ text, control }) =>
      control ? encodeControl(text) : [...Buffer.from(text)],
    );
    return Int32Array.from(addBegin ? [BYTES, ...tokens] : tokens);
  }

  bytes(token: number): Uint8Array {
    return token < BYTES ? Uint8Array.of(token) : new Uint8Array(0);
  }

  display(token: number): string {
    return token < BYTES ? String.fromCharCode(token) : CONTROL[token - BYTES]!;
  }
}

function encodeControl(text: string): number[] {
  return text.split(/(<begin>|<end>|<turn>)/).flatMap((part) => {
    const control = CONTROL.indexOf(part);
    return control >= 0 ? [BYTES + control] : [...Buffer.from(part)];
  });
}
