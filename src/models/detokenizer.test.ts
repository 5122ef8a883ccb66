import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Detokenizer } from './detokenizer.js';

/** Decodes `bytes` in pieces that end at `cuts`. */
function inPieces(bytes: Uint8Array, cuts: readonly number[]): string[] {
  const detokenizer = new Detokenizer();
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  const texts: string[] = [];
  let start = 0;
  for (const end of [...ends, bytes.length]) {
    texts.push(detokenizer.push(bytes.subarray(start, end)));
    start = end;
  }
  return [...texts, detokenizer.flush()];
}

const cuts = fc.array(fc.nat(), { maxLength: 30 });
const whole = (bytes: Uint8Array) => new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);

describe('R64: incremental detokenising', () => {
  test('a character is never split', () => {
    const fish = new TextEncoder().encode('🐟');
    const detokenizer = new Detokenizer();
    assert.deepEqual(
      [...fish].map((byte) => detokenizer.push(Uint8Array.of(byte))),
      ['', '', '', '🐟'],
    );
    assert.equal(detokenizer.flush(), '');
  });

  test('an unfinished character at the end becomes one replacement character', () => {
    const detokenizer = new Detokenizer();
    assert.equal(detokenizer.push(Uint8Array.of(0x61, 0xf0, 0x9f)), 'a');
    assert.equal(detokenizer.flush(), '\ufffd');
    assert.equal(detokenizer.push(Uint8Array.of(0x62)), 'b');
  });

  test('a byte order mark is kept', () => {
    assert.equal(inPieces(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61), [1, 2]).join(''), '\ufeffa');
  });

  test('text of every script comes out whole, however it is cut', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), cuts, (text, at) => {
        const pieces = inPieces(new TextEncoder().encode(text), at);
        assert.equal(pieces.join(''), text);
        for (const piece of pieces) assert.doesNotThrow(() => encodeURIComponent(piece));
      }),
      { numRuns: 150 },
    );
  });

  test('any bytes give what decoding the whole gives', () => {
    const byte = fc.oneof(
      fc.integer({ min: 0x7e, max: 0xff }),
      fc.constantFrom(0xe0, 0xed, 0xf0, 0xf4, 0x80, 0xbf, 0x41),
    );
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 40 }), cuts, (bytes, at) => {
        const all = Uint8Array.from(bytes);
        assert.equal(inPieces(all, at).join(''), whole(all));
      }),
      { numRuns: 1000 },
    );
  });
});
