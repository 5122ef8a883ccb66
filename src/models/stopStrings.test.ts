import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { StopStringMatcher } from './stopStrings.js';

/** The law: read the text from its start until a stop string ends; cut before the longest that ends there. */
function cutWhole(text: string, stops: readonly string[]): string | null {
  for (let end = 1; end <= text.length; end++) {
    const longest = Math.max(
      0,
      ...stops.filter((stop) => text.slice(0, end).endsWith(stop)).map((stop) => stop.length),
    );
    if (longest > 0) return text.slice(0, end - longest);
  }
  return null;
}

describe('R71: stop strings never leak', () => {
  test('what may become a stop string is held back until it is known', () => {
    const matcher = new StopStringMatcher(['</end>']);
    assert.deepEqual(matcher.push('text </e'), { text: 'text ', stopped: false });
    assert.deepEqual(matcher.push('xtra'), { text: '</extra', stopped: false });
    assert.deepEqual(matcher.push('</en'), { text: '', stopped: false });
    assert.deepEqual(matcher.push('d> more'), { text: '', stopped: true });
    assert.deepEqual(matcher.push('more'), { text: '', stopped: true });
    assert.equal(matcher.flush(), '');
  });

  test('what is held at the end is given out', () => {
    const matcher = new StopStringMatcher(['STOP', 'ST.']);
    assert.deepEqual(matcher.push('aST'), { text: 'a', stopped: false });
    assert.equal(matcher.flush(), 'ST');
  });

  test('the stop string that is complete first wins', () => {
    assert.deepEqual(new StopStringMatcher(['abcd', 'bc']).push('xabcd'), { text: 'xa', stopped: true });
    assert.deepEqual(new StopStringMatcher(['bc', 'abc']).push('xabc'), { text: 'x', stopped: true });
  });

  test('without stop strings the text passes; an empty one is a bug of the caller', () => {
    assert.deepEqual(new StopStringMatcher([]).push('abc'), { text: 'abc', stopped: false });
    assert.throws(() => new StopStringMatcher(['a', '']), RangeError);
  });

  test('the result does not depend on how the text is cut', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '🐟'), maxLength: 30 });
    const stops = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '🐟'), minLength: 1, maxLength: 5 }), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(fc.array(text, { maxLength: 8 }), stops, (pieces, list) => {
        const matcher = new StopStringMatcher(list);
        const wanted = cutWhole(pieces.join(''), list);
        let shown = '';
        let stopped = false;
        for (const piece of pieces) {
          const result = matcher.push(piece);
          shown += result.text;
          stopped = result.stopped;
          assert.ok((wanted ?? pieces.join('')).startsWith(shown), 'nothing is shown that is cut later');
        }
        shown += matcher.flush();
        assert.equal(shown, wanted ?? pieces.join(''));
        assert.equal(stopped, wanted !== null);
      }),
      { numRuns: 1000 },
    );
  });
});
