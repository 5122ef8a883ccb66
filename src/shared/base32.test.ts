import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromBase32, toBase32 } from './base32.js';

test('bytes come back from base 32, and only from what it makes of them', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      const text = toBase32(bytes);
      assert.match(text, /^[a-z2-7]*$/);
      assert.deepEqual(fromBase32(text), Buffer.from(bytes));
    }),
  );
  fc.assert(
    fc.property(fc.string({ maxLength: 40 }), (text) => {
      const bytes = fromBase32(text);
      if (bytes !== null) assert.equal(toBase32(bytes), text);
    }),
  );
});

test('base 32 agrees with the examples of RFC 4648', () => {
  const examples = {
    f: 'my',
    fo: 'mzxq',
    foo: 'mzxw6',
    foob: 'mzxw6yq',
    fooba: 'mzxw6ytb',
    foobar: 'mzxw6ytboi',
  };
  for (const [text, encoded] of Object.entries(examples)) assert.equal(toBase32(Buffer.from(text)), encoded);
});
