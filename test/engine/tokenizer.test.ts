/** Text to tokens and back, on vocabularies loaded by llama.cpp. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { type OpenVocabulary, openLlamaModel, openVocabulary } from '../../src/engine/llama/open.js';
import { CONTROL_TEXTS } from '../../src/engine/selfTest/byteVocabulary.js';
import { ShoalError } from '../../src/shared/errors.js';
import { packageRoot } from '../../src/shared/packageRoot.js';
import { TEST_CAPACITY, temporaryFolder, tinyModel, tinyShape, writeModel } from './support.js';

const folder = temporaryFolder();
const bytesPath = writeModel(folder, 'bytes', tinyModel(tinyShape('qwen2')));
const embedded = join(packageRoot(), 'models', 'shoal-guide.gguf');

const HARD_TEXTS: readonly string[] = [
  '',
  ' ',
  '   leading and trailing   ',
  'a\0b\0\0',
  '\r\n\t\v\f\u0085\u2028\u2029',
  'Ελληνικά Русский עברית العربية हिन्दी বাংলা தமிழ் ไทย 한국어 日本語 中文 አማርኛ ქართული',
  '👩‍👩‍👧‍👦🏳️‍🌈👍🏽🇪🇺',
  'e\u0301\u0302\u0303 Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢',
  '\uFEFF\u200B\u200D\u202E\u{E0001}\u{10FFFF}',
  '\ud800',
  'x\udfffy\ud83d',
  '\u0000\u0001\u0002\u001b[31m\u007f',
  ' ▁ ▁▁ <0x0A> <unk> <s> </s>',
  'ĠĊ Ċ č',
  `${CONTROL_TEXTS.join('')}<|im_start|>`,
];

/** Lone surrogates have no UTF-8: U+FFFD stands for them. */
function wellFormed(text: string): string {
  return Buffer.from(text, 'utf8').toString('utf8');
}

function describeVocabulary(name: string, path: string): void {
  describe(name, () => {
    let opened: OpenVocabulary | undefined;
    const vocabulary = (): OpenVocabulary => {
      opened ??= openVocabulary(path);
      return opened;
    };
    after(() => opened?.close());
    const encode = (text: string): Int32Array =>
      vocabulary().tokenizer.encode([{ text, control: false }], false);
    const decode = (tokens: Iterable<number>): string =>
      Buffer.concat([...tokens].map((token) => vocabulary().tokenizer.bytes(token))).toString('utf8');
    const controlTokens = (): number[] => {
      const { tokenizer } = vocabulary();
      return tokenizer.controlTexts.map(
        (text) => tokenizer.encode([{ text, control: true }], false)[0] as number,
      );
    };

    for (const text of HARD_TEXTS) {
      it(`R61: ${JSON.stringify(text).slice(0, 40)} comes back as it went in`, () => {
        assert.equal(decode(encode(text)), wellFormed(text));
      });
    }

    it('R61: any text comes back as it went in', () => {
      fc.assert(
        fc.property(fc.string({ unit: 'binary' }), (text) => decode(encode(text)) === wellFormed(text)),
        { numRuns: 500 },
      );
      fc.assert(
        fc.property(fc.array(fc.constantFrom(...HARD_TEXTS)), (texts) => {
          const text = texts.join('');
          return decode(encode(text)) === wellFormed(text);
        }),
      );
    });

    it('R61: texts of a megabyte come back as they went in', () => {
      for (const piece of ['a', ' ', '\n', '1', '漢', '👩‍👩‍👧', '!?', 'hello world ']) {
        const text = piece.repeat(Math.ceil(1_000_000 / Buffer.byteLength(piece)));
        assert.ok(decode(encode(text)) === text, JSON.stringify(piece));
      }
    });

    it('R61: control texts in user text stay text', () => {
      const { tokenizer } = vocabulary();
      assert.ok(tokenizer.controlTexts.length > 0);
      const control = new Set(controlTokens());
      fc.assert(
        fc.property(fc.array(fc.oneof(fc.constantFrom(...tokenizer.controlTexts), fc.string())), (pieces) => {
          const tokens = encode(pieces.join(''));
          return tokens.every((token) => !control.has(token)) && decode(tokens) === pieces.join('');
        }),
      );
    });

    it('R61: control texts of the template become their tokens, also around user text that holds the same', () => {
      const { tokenizer } = vocabulary();
      for (const [index, text] of tokenizer.controlTexts.entries()) {
        const tokens = tokenizer.encode(
          [
            { text: `${text}user\n`, control: true },
            { text: `${text}`, control: false },
            { text, control: true },
          ],
          false,
        );
        const id = controlTokens()[index] as number;
        assert.equal(tokens.filter((token) => token === id).length, 2);
        assert.equal(tokens[0], id);
        assert.equal(tokens.at(-1), id);
        assert.equal(tokenizer.bytes(id).length, 0);
        assert.equal(tokenizer.display(id), text);
        assert.equal(decode(tokens), `user\n${text}`);
      }
    });

    it('R61: the cuts between segments of a kind do not show', () => {
      const { tokenizer } = vocabulary();
      const whole = encode('the brother of the other');
      for (let cut = 0; cut < 24; cut += 1) {
        const text = 'the brother of the other';
        const segments = [text.slice(0, cut), text.slice(cut)].map((piece, index) => ({
          text: piece,
          control: index === 0,
        }));
        assert.deepEqual(tokenizer.encode(segments, false), whole);
      }
    });

    it('R61: every token has bytes and a text, and the end tokens are control tokens', () => {
      const { tokenizer } = vocabulary();
      for (let token = 0; token < tokenizer.vocabularySize; token += 1) {
        const first = tokenizer.bytes(token);
        assert.deepEqual(tokenizer.bytes(token), first);
        assert.equal(typeof tokenizer.display(token), 'string');
      }
      assert.ok(tokenizer.endTokens.size > 0);
      const control = new Set(controlTokens());
      for (const token of tokenizer.endTokens) assert.ok(control.has(token));
    });

    it('R66: tokens outside of the vocabulary are refused', () => {
      const { tokenizer } = vocabulary();
      for (const token of [-1, tokenizer.vocabularySize, 2 ** 31, 0.5, Number.NaN]) {
        assert.throws(() => tokenizer.bytes(token), ShoalError);
        assert.throws(() => tokenizer.display(token), ShoalError);
      }
    });

    it('R61: the file says how to prompt', () => {
      assert.match(vocabulary().chatTemplate ?? '', /message/);
    });
  });
}

describeVocabulary('a vocabulary of bytes', bytesPath);
if (existsSync(embedded)) describeVocabulary('the embedded model', embedded);

it('R61: the begin token is put in front when it is asked for and the model wants it', () => {
  const { tokenizer, close } = openVocabulary(bytesPath);
  const begin = tokenizer.encode([{ text: tokenizer.beginText, control: true }], false)[0];
  assert.equal(tokenizer.encode([{ text: 'hi', control: false }], true)[0], begin);
  assert.notEqual(tokenizer.encode([{ text: 'hi', control: false }], false)[0], begin);
  assert.equal(tokenizer.endText, '<|end|>');
  close();
});

it('R42: a tokenizer is refused after its vocabulary or its engine is closed', () => {
  const opened = openVocabulary(bytesPath);
  opened.close();
  opened.close();
  assert.throws(() => opened.tokenizer.encode([{ text: 'a', control: false }], false), ShoalError);
  const model = openLlamaModel({ modelPath: bytesPath, ...TEST_CAPACITY });
  model.engine.close();
  assert.throws(() => model.tokenizer.bytes(1), ShoalError);
});
