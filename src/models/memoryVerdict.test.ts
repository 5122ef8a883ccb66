import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ModelListing } from './listing.js';
import { refuseTooLarge } from './memoryVerdict.js';

const listing = {
  refusal: null,
  memory: { weightsBytes: 1, cacheBytes: 1, overheadBytes: 1, totalBytes: 3 * 2 ** 30 },
} as ModelListing;

test('R36: a model that is too large says what it needs and what there is; another reason is kept', () => {
  assert.equal(refuseTooLarge(listing, 3 * 2 ** 30), listing);
  const refused = refuseTooLarge(listing, 2 ** 30);
  assert.equal(refused.refusal, 'It needs 3.0 GiB of memory, and this node offers 1.0 GiB.');
  const broken = { ...listing, refusal: 'torn' };
  assert.equal(refuseTooLarge(broken, 1), broken);
  assert.equal(refuseTooLarge({ ...listing, memory: null }, 1).refusal, null);
});
