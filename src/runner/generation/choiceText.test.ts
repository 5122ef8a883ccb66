import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { StopStringMatcher } from '../../models/stopStrings.js';
import type { GeneratedTokenLogprob } from '../../shared/generation.js';
import { ChoiceText } from './choiceText.js';

const texts = fc
  .array(fc.constantFrom('a', 'b', 'ab', 'é', '😀', '\n', 'stop'), { maxLength: 20 })
  .map((parts) => parts.join(''));
const stops = fc.uniqueArray(fc.constantFrom('ab', 'aab', 'é', '😀a', 'stop', 'b\n'), { maxLength: 3 });

/** Cuts bytes into tokens of one to three bytes, wherever characters end. */
function cut(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const tokens: Buffer[] = [];
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const length = lengths[index % lengths.length]!;
    tokens.push(bytes.subarray(at, at + length));
    at += length;
  }
  return tokens;
}

function logprob(index: number): GeneratedTokenLogprob {
  return { token: String(index), bytes: [], logprob: -1, top: [] };
}

test('R71: the text ends before the first stop string, and log probabilities never run ahead of it', () => {
  fc.assert(
    fc.property(
      texts,
      stops,
      fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 5 }),
      (text, stop, lengths) => {
        const whole = new StopStringMatcher(stop);
        const expected = whole.push(text);
        const choice = new ChoiceText(stop);
        const tokens = cut(Buffer.from(text), lengths);
        const starts = tokens.map((_, index) => Buffer.concat(tokens.slice(0, index)).length);
        let out = '';
        const told: number[] = [];
        const take = (piece: ReturnType<ChoiceText['flush']>) => {
          out += piece.text;
          told.push(...piece.logprobs.map(({ token }) => Number(token)));
        };
        for (const [index, token] of tokens.entries()) {
          if (choice.isStopped) break;
          take(choice.push(token, logprob(index)));
          assert.ok(told.every((other) => starts[other]! < Buffer.byteLength(out)));
        }
        take(choice.flush());
        assert.equal(choice.isStopped, expected.stopped);
        assert.equal(out, expected.stopped ? expected.text : text);
        const visible = tokens.flatMap((_, index) =>
          starts[index]! < Buffer.byteLength(out) ? [index] : [],
        );
        assert.deepEqual(told, visible, 'each token of the visible text once, in order');
      },
    ),
    { numRuns: 500 },
  );
});

test('a token without text is told with the next text, or at the end', () => {
  const choice = new ChoiceText([]);
  assert.deepEqual(choice.push(new Uint8Array(0), logprob(0)), { text: '', logprobs: [] });
  assert.deepEqual(choice.push(Buffer.from('a'), logprob(1)), {
    text: 'a',
    logprobs: [logprob(0), logprob(1)],
  });
  choice.push(new Uint8Array(0), logprob(2));
  assert.deepEqual(choice.flush(), { text: '', logprobs: [logprob(2)] });
});

test('an incomplete character at the end becomes a replacement character', () => {
  const choice = new ChoiceText([]);
  assert.equal(choice.push(Uint8Array.of(0xf0, 0x9f), null).text, '');
  assert.equal(choice.flush().text, '\ufffd');
});
