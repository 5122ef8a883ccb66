import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatBytes } from '../shared/bytes.js';
import { clip, formatFault, formatTable, printable, wrap } from './output.js';

test('sizes have a unit that fits', () => {
  assert.deepEqual([0, 1023, 1536, 5 * 2 ** 30, 200 * 2 ** 20].map(formatBytes), [
    '0 B',
    '1023 B',
    '1.5 KiB',
    '5.0 GiB',
    '200 MiB',
  ]);
});

test('tables line up, and foreign names cannot steer the terminal', () => {
  assert.equal(
    formatTable(
      ['A', 'B'],
      [
        ['long', 'x'],
        ['s', 'yy'],
      ],
    ),
    'A     B\nlong  x\ns     yy',
  );
  assert.equal(printable('a\u001b[31mb\r\u0007\tc\n'), 'a\u{FFFD}[31mb\u{FFFD}\u{FFFD}\tc\n');
});

test('an error says what, why and what to do', () => {
  const text = formatFault({ code: 'queue_full', message: 'every place is taken' });
  assert.match(text, /every place is taken \(queue_full\)\n {2}Try again/);
  assert.doesNotMatch(formatFault({ code: 'not_found', message: 'there is no node x' }), /openapi/);
});

test('a clipped text is one line of so many characters', () => {
  assert.equal(clip('short', 5), 'short');
  assert.equal(clip('longer', 5), 'long…');
  assert.equal(clip('a\n b\tc', 9), 'a b c');
  assert.equal([...clip('🐟🐟🐟🐟', 3)].length, 3);
});

test('a refusal names what each node lacks, and one without a form is left out', () => {
  const nodes = [{ name: 'desk', reason: 'has\nno memory' }, null, 'x', { name: 7, reason: 'r' }];
  const text = formatFault({ code: 'placement_impossible', message: 'too large', details: { nodes } });
  assert.match(
    text,
    /^shoal: too large \(placement_impossible\)\n {2}desk: has no memory\n {2}Ask for what there is/,
  );
  const odd = formatFault({ code: 'placement_impossible', message: 'm', details: { nodes: 'none' } });
  assert.doesNotMatch(odd, /none/);
});

test('a wrapped text has every word, on lines that are no longer than asked', () => {
  const words = 'one two\nthree  four five sixsixsixsixsix seven';
  const lines = wrap(words, 12, '  ').split('\n');
  assert.deepEqual(lines, ['  one two', '  three four', '  five', '  sixsixsixsixsix', '  seven']);
  assert.equal(wrap('', 12, '  ').trim(), '');
});
