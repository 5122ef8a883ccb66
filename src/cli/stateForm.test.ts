import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findEntry } from './stateForm.js';

const ENTRIES = {
  'abcd-1': { name: 'desk' },
  'abcd-2': { name: 'twin' },
  'efgh-3': { name: 'twin' },
  desk: { name: 'other' },
};
const find = (wanted: string) => findEntry(ENTRIES, wanted, { kind: 'node', nameOf: ({ name }) => name }).id;

test('people name a node by its id, its name, or the first characters of its id, in this order', () => {
  assert.equal(find('abcd-2'), 'abcd-2');
  assert.equal(find('desk'), 'desk', 'an id before a name');
  assert.equal(find('other'), 'desk');
  assert.equal(find('ef'), 'efgh-3');
});

test('what is meant by nobody or by several is refused, and nothing is meant by nothing', () => {
  for (const wanted of ['x', '', '__proto__', 'toString']) {
    assert.throws(() => find(wanted), { code: 'not_found' }, wanted);
  }
  for (const wanted of ['twin', 'abcd'])
    assert.throws(() => find(wanted), { code: 'invalid_request' }, wanted);
});
