import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LineTail } from './lineTail.js';

test('R45: the last lines are kept, bounded in number and length, however the bytes come', () => {
  const line = fc.string({ unit: 'grapheme', maxLength: 20 }).map((text) => text.replace(/[\r\n]/g, ''));
  fc.assert(
    fc.property(fc.array(line, { maxLength: 20 }), fc.array(fc.nat(12)), (lines, cuts) => {
      const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(''));
      const tail = new LineTail(5, 8, () => undefined);
      let start = 0;
      for (const cut of [...cuts, bytes.length]) {
        tail.push(bytes.subarray(start, start + cut));
        start += cut;
      }
      assert.deepEqual(
        tail.lines(),
        lines.slice(-5).map((text) => text.slice(0, 8)),
      );
    }),
  );
});

test('a line without an end is shown as far as it came, and does not grow without bound', () => {
  const tail = new LineTail(3, 10, () => undefined);
  tail.push(Buffer.from('done\nhal'));
  assert.deepEqual(tail.lines(), ['done', 'hal']);
  for (let i = 0; i < 1000; i += 1) tail.push(Buffer.alloc(1000, 'x'));
  assert.deepEqual(tail.lines(), ['done', 'halxxxxxxx']);
});
