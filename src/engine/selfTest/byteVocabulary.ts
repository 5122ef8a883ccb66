/** A vocabulary of one token a byte, for tiny models: enough to put any text through a tokenizer and back. */
import type { WritableMetadata } from '../../models/gguf/writer.js';

/** Tokens of the vocabulary behind the 256 bytes and the one merge. */
export const CONTROL_TEXTS = ['<|begin|>', '<|end|>', '<|turn|>', '<|end_turn|>'] as const;
const BYTES = 256;
const MERGED = 'th';

/** `enum llama_token_type` */
const TOKEN_TYPE = { normal: 1, control: 3, unused: 5 } as const;

const TEMPLATE =
  '{% for message in messages %}<|turn|>{{ message.role }}\n{{ message.content }}<|end_turn|>\n{% endfor %}{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}';

/** Metadata of a byte-level BPE vocabulary; what is left of `size` is filled with unused tokens. */
export function byteVocabulary(size: number): [string, WritableMetadata][] {
  const used = BYTES + 1 + CONTROL_TEXTS.length;
  if (size < used) throw new RangeError(`a byte vocabulary has at least ${used} tokens`);
  const tokens = [
    ...Array.from({ length: BYTES }, (_, byte) => byteCharacter(byte)),
    MERGED,
    ...CONTROL_TEXTS,
    ...Array.from({ length: size - used }, (_, index) => `<unused${index}>`),
  ];
  const types = tokens.map((_, token) => {
    if (token <= BYTES) return TOKEN_TYPE.normal;
    return token < used ? TOKEN_TYPE.control : TOKEN_TYPE.unused;
  });
  const id = (text: (typeof CONTROL_TEXTS)[number]): number => BYTES + 1 + CONTROL_TEXTS.indexOf(text);
  return [
    ['tokenizer.ggml.model', { type: 'string', value: 'gpt2' }],
    ['tokenizer.ggml.pre', { type: 'string', value: 'qwen2' }],
    ['tokenizer.ggml.tokens', { type: 'array', elementType: 'string', value: tokens }],
    ['tokenizer.ggml.token_type', { type: 'array', elementType: 'int32', value: types }],
    ['tokenizer.ggml.merges', { type: 'array', elementType: 'string', value: ['t h'] }],
    ['tokenizer.ggml.bos_token_id', { type: 'uint32', value: id('<|begin|>') }],
    ['tokenizer.ggml.eos_token_id', { type: 'uint32', value: id('<|end|>') }],
    ['tokenizer.ggml.eot_token_id', { type: 'uint32', value: id('<|end_turn|>') }],
    ['tokenizer.ggml.add_bos_token', { type: 'bool', value: true }],
    ['tokenizer.chat_template', { type: 'string', value: TEMPLATE }],
  ];
}

/**
 * The printable character that stands for a byte in GPT-2's vocabularies: itself where it is printable, else the next
 * one from U+0100 on.
 */
function byteCharacter(byte: number): string {
  return String.fromCodePoint(isPrintable(byte) ? byte : FIRST_SUBSTITUTE + substitutesBefore(byte));
}

const FIRST_SUBSTITUTE = 0x100;

function isPrintable(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
}

function substitutesBefore(byte: number): number {
  let count = 0;
  for (let earlier = 0; earlier < byte; earlier += 1) if (!isPrintable(earlier)) count += 1;
  return count;
}
