import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TIMES } from './limits.js';
import { PATIENT_HEADERS, preferredWaitMs } from './preferWait.js';

const waitOf = (prefer?: string | string[]) => preferredWaitMs({ prefer });

test('R4: who prefers to wait says for how many seconds, among other preferences or alone', () => {
  assert.equal(waitOf('wait=30'), 30_000);
  assert.equal(waitOf('Wait = "5"'), 5_000);
  assert.equal(waitOf('respond-async, wait=10;hint=x, handling=lenient'), 10_000);
});

test('R4: a person waits for as long as is allowed, whichever of our clients is used', () => {
  assert.equal(preferredWaitMs(PATIENT_HEADERS), TIMES.placeWaitMs);
});

test('R4: what is no number of seconds is no preference: a refusal comes at once', () => {
  for (const prefer of [
    undefined,
    '',
    'wait',
    'wait=',
    'wait=-1',
    'wait=soon',
    'await=7',
    'wait=1.5',
    'wait=9999999999',
  ]) {
    assert.equal(waitOf(prefer), 0, prefer);
  }
});
