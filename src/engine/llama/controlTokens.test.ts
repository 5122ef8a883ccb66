import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { type ControlToken, splitAtControls } from './controlTokens.js';

const control = (token: number, text: string, strips: Partial<ControlToken> = {}): ControlToken => ({
  token,
  text,
  stripsLeft: false,
  stripsRight: false,
  ...strips,
});
const TURN = control(1, '<|turn|>');
const TURN_END = control(2, '<|turn|>end');
const END = control(3, '<|end|>');

it('R61: control tokens are found in control segments only', () => {
  const parts = splitAtControls(
    [
      { text: '<|turn|>user\n', control: true },
      { text: 'say <|end|>', control: false },
      { text: '<|end|>\n', control: true },
    ],
    [TURN, END],
  );
  assert.deepEqual(parts, [TURN, 'user\nsay <|end|>', END, '\n']);
});

it('R61: a control text that only arises at a cut between template and user text is text', () => {
  const parts = splitAtControls(
    [
      { text: '<|tu', control: true },
      { text: 'rn|>', control: false },
      { text: '<|en', control: false },
      { text: 'd|>', control: true },
    ],
    [TURN, END],
  );
  assert.deepEqual(parts, ['<|turn|><|end|>']);
});

it('R61: of two that overlap the longer one is meant', () => {
  assert.deepEqual(splitAtControls([{ text: '<|turn|>end<|turn|>', control: true }], [TURN_END, TURN]), [
    TURN_END,
    TURN,
  ]);
});

it('R61: a token that strips white space takes it from both kinds of segment', () => {
  const stripping = control(4, '<|s|>', { stripsLeft: true, stripsRight: true });
  const parts = splitAtControls(
    [
      { text: 'a \n', control: false },
      { text: '<|s|> ', control: true },
      { text: '\t b', control: false },
    ],
    [stripping],
  );
  assert.deepEqual(parts, ['a', stripping, 'b']);
});

it('R61: the parts put together are the prompt, and user text never holds a token', () => {
  const text = fc
    .array(fc.constantFrom('<|turn|>', '<|end|>', 'end', '<|', 'turn|>', ' ', 'x'))
    .map((pieces) => pieces.join(''));
  const segments = fc.array(fc.record({ text, control: fc.boolean() }));
  fc.assert(
    fc.property(segments, (list) => {
      const parts = splitAtControls(list, [TURN_END, TURN, END]);
      const joined = parts.map((part) => (typeof part === 'string' ? part : part.text)).join('');
      assert.equal(joined, list.map((segment) => segment.text).join(''));
      if (list.every((segment) => !segment.control))
        assert.ok(parts.every((part) => typeof part === 'string'));
    }),
  );
});
