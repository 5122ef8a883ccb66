import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { chances } from './logprobs.js';

test('log probabilities are the log-softmax of the raw logits, the alternatives its best, in order', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.integer({ min: -4, max: 4 }), fc.double({ min: -50, max: 50, noNaN: true })), {
        minLength: 1,
        maxLength: 60,
      }),
      fc.nat(),
      fc.integer({ min: 0, max: 20 }),
      (values, pick, topCount) => {
        const logits = Float32Array.from(values);
        const total = [...logits].reduce((sum, logit) => sum + Math.exp(logit), 0);
        const token = pick % logits.length;
        const result = chances(logits, token, topCount);
        assert.ok(Math.abs(Math.exp(result.logprob) - Math.exp(logits[token]!) / total) < 1e-9);
        const expected = [...logits.keys()]
          .sort((left, right) => logits[right]! - logits[left]! || left - right)
          .slice(0, topCount);
        assert.deepEqual(
          result.top.map((chance) => chance.token),
          expected,
        );
      },
    ),
  );
});
