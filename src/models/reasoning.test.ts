import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { opensReasoning, ReasoningSplitter, reasoningTags } from './reasoning.js';

const TAGS = { open: '<think>', close: '</think>' };

function split(pieces: readonly string[], isOpen: boolean) {
  const splitter = new ReasoningSplitter(TAGS, isOpen);
  const parts = [...pieces.map((piece) => splitter.push(piece)), splitter.flush()];
  return {
    reasoning: parts.map((part) => part.reasoning).join(''),
    content: parts.map((part) => part.content).join(''),
  };
}

describe('R71: reasoning and answer are told apart', () => {
  test('the tags come from the template', () => {
    assert.deepEqual(reasoningTags("{{ content.split('</think>')[-1] }}"), TAGS);
    assert.equal(reasoningTags('[THINK]...')?.close, '[/THINK]');
    assert.equal(reasoningTags("{{ 'plain' }}"), null);
    assert.equal(opensReasoning('<|im_start|>assistant\n<think>\n', TAGS), true);
    assert.equal(opensReasoning('<think>\n\n</think>\n\n', TAGS), false);
  });

  test('reasoning, then the answer, without tags and without the space between', () => {
    assert.deepEqual(split(['<think>\nwhy\n</think>\n\nbecause\n'], false), {
      reasoning: 'why',
      content: 'because\n',
    });
    assert.deepEqual(split(['why</th', 'ink> because'], true), { reasoning: 'why', content: 'because' });
  });

  test('no reasoning, empty reasoning, and reasoning that never ends', () => {
    assert.deepEqual(split([' plain'], false), { reasoning: '', content: ' plain' });
    assert.deepEqual(split(['<think>\n\n</think>\n\nplain'], false), { reasoning: '', content: 'plain' });
    assert.deepEqual(split(['<think>on and on </thi'], false), { reasoning: 'on and on </thi', content: '' });
    assert.deepEqual(split(['<thi'], false), { reasoning: '', content: '<thi' });
  });

  test('a tag within the answer is text', () => {
    assert.deepEqual(split(['Use <think> and </think>.'], false), {
      reasoning: '',
      content: 'Use <think> and </think>.',
    });
    assert.equal(split(['a</think>b</think>c'], true).content, 'b</think>c');
  });

  test('a tag never shows in part while it streams', () => {
    const splitter = new ReasoningSplitter(TAGS, false);
    const shown = [...'<think>a</think>b'].map((character) => splitter.push(character));
    assert.deepEqual(
      shown.filter(({ reasoning, content }) => reasoning + content !== ''),
      [
        { reasoning: 'a', content: '' },
        { reasoning: '', content: 'b' },
      ],
    );
  });

  test('any cutting of the text gives the same split', () => {
    const piece = fc.constantFrom('<think>', '</think>', '<th', 'ink>', '</', ' ', '\n', 'a', 'b🐟');
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 14 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        fc.boolean(),
        (texts, cuts, isOpen) => {
          const text = texts.join('');
          const ends = [...cuts.map((cut) => cut % (text.length + 1)), text.length].sort((a, b) => a - b);
          const pieces = ends.map((end, index) => text.slice(ends[index - 1] ?? 0, end));
          assert.deepEqual(split(pieces, isOpen), split([text], isOpen));

          // And the split of the whole is what a pattern over the whole finds.
          const found = (isOpen ? /^()(.*?)<\/think>(.*)$/s : /^(\s*<think>)(.*?)<\/think>(.*)$/s).exec(text);
          if (found !== null) {
            assert.deepEqual(split([text], isOpen), {
              reasoning: found[2]!.trim(),
              content: found[3]!.trimStart(),
            });
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});
