/** The self-test that a runner does before it says that it is usable. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import {
  SELF_TEST_LOGITS,
  SELF_TEST_TOKENS,
  SELF_TEST_TOLERANCE,
  selfTest,
} from '../../src/engine/selfTest/selfTest.js';
import { TINY_SHAPE, tinyModel } from '../../src/engine/selfTest/tinyModel.js';
import { referenceLogits } from './reference.js';

it('R61: the known numbers of the self-test are those of the reference', () => {
  const logits = referenceLogits(TINY_SHAPE, tinyModel(TINY_SHAPE).tensors, SELF_TEST_TOKENS).at(-1);
  for (const [token, known] of SELF_TEST_LOGITS.entries()) {
    assert.ok(Math.abs((logits?.[token] ?? Number.NaN) - known) < 1e-6);
  }
});

it('R61: the self-test passes here, again and again', () => {
  for (let round = 0; round < 3; round += 1) selfTest();
});

it('R61: the known numbers differ from each other by far more than the tolerance', () => {
  const sorted = [...SELF_TEST_LOGITS].sort((a, b) => a - b);
  assert.ok((sorted.at(-1) as number) - (sorted[0] as number) > 100 * SELF_TEST_TOLERANCE);
});
