/** The sampler against the plainest possible one: sort everything, in double precision, by the definitions. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LEAST_SHARE } from './candidates.js';
import { TokenHistory } from './history.js';
import type { ResolvedSampling } from './parameters.js';
import { seedKey, uniform } from './random.js';
import { Sampler } from './sampler.js';

interface Case {
  readonly logits: readonly number[];
  readonly sampling: ResolvedSampling;
  readonly prompt: readonly number[];
  readonly answer: readonly number[];
  readonly forbidden: ReadonlySet<number>;
}

/** The tokens that may be drawn with their probabilities, by the definitions in their plainest form. */
function reference(input: Case): { token: number; weight: number }[] {
  const { sampling } = input;
  const logits = input.logits.map(Math.fround);
  for (const token of new Set([...input.prompt, ...input.answer])) {
    const logit = logits[token]!;
    const penalty = sampling.repetitionPenalty;
    logits[token] = Math.fround(logit > 0 ? logit / penalty : logit * penalty);
  }
  for (const token of new Set(input.answer)) {
    const count = input.answer.filter((other) => other === token).length;
    logits[token] = Math.fround(
      logits[token]! - (count * sampling.frequencyPenalty + sampling.presencePenalty),
    );
  }
  for (const [token, bias] of sampling.logitBias) logits[token] = Math.fround(logits[token]! + bias);
  for (const token of input.forbidden) logits[token] = Number.NEGATIVE_INFINITY;
  const greatest = Math.max(...logits);
  if (sampling.temperature === 0) return [{ token: logits.indexOf(greatest), weight: 1 }];
  let kept = logits
    .map((logit, token) => ({ token, weight: Math.exp((logit - greatest) / sampling.temperature) }))
    .filter(({ weight }) => weight >= LEAST_SHARE)
    .sort((left, right) => right.weight - left.weight || left.token - right.token);
  if (sampling.topK > 0) kept = kept.slice(0, sampling.topK);
  const total = kept.reduce((sum, { weight }) => sum + weight, 0);
  let sum = 0;
  kept = kept.filter(({ weight }, index) => {
    const wanted = index === 0 || sum < sampling.topP * total;
    sum += weight;
    return wanted;
  });
  return kept.filter(({ weight }) => weight >= sampling.minP).sort((left, right) => left.token - right.token);
}

function drawByReference(input: Case, share: number): { token: number; margin: number } {
  const kept = reference(input);
  const total = kept.reduce((sum, { weight }) => sum + weight, 0);
  let sum = 0;
  for (const { token, weight } of kept) {
    sum += weight;
    if (sum > share * total) return { token, margin: sum / total - share };
  }
  return { token: kept.at(-1)!.token, margin: 0 };
}

const VOCABULARY = 40;
const token = fc.nat(VOCABULARY - 1);
const cases: fc.Arbitrary<Case> = fc.record({
  logits: fc.array(fc.oneof(fc.double({ min: -30, max: 30, noNaN: true }), fc.integer({ min: -3, max: 3 })), {
    minLength: VOCABULARY,
    maxLength: VOCABULARY,
  }),
  sampling: fc.record({
    temperature: fc.oneof(fc.constant(0), fc.double({ min: 0.05, max: 5, noNaN: true })),
    topK: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: VOCABULARY + 5 })),
    topP: fc.oneof(fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true })),
    minP: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1, noNaN: true })),
    repetitionPenalty: fc.oneof(fc.constant(1), fc.double({ min: 0.5, max: 2, noNaN: true })),
    frequencyPenalty: fc.oneof(fc.constant(0), fc.double({ min: -2, max: 2, noNaN: true })),
    presencePenalty: fc.oneof(fc.constant(0), fc.double({ min: -2, max: 2, noNaN: true })),
    logitBias: fc.array(fc.tuple(token, fc.double({ min: -100, max: 100, noNaN: true })), { maxLength: 4 }),
    seed: fc.double({ min: 0, max: 2 ** 64, noNaN: true }),
  }),
  prompt: fc.array(token, { maxLength: 8 }),
  answer: fc.array(token, { maxLength: 8 }),
  forbidden: fc.array(token, { maxLength: 2 }).map((tokens) => new Set(tokens)),
});

test('the sampler draws the token that the plain definition draws', () => {
  const sampler = new Sampler(VOCABULARY);
  fc.assert(
    fc.property(cases, fc.nat(100_000), (input, position) => {
      const key = seedKey(input.sampling.seed, 0);
      const share = uniform(key, position);
      const expected = drawByReference(input, share);
      // Sums in another order may differ in the last bit: leave out the draws that fall on an edge.
      fc.pre(expected.margin > 1e-9 || reference(input).length === 1);
      const drawn = sampler.draw(Float32Array.from(input.logits), {
        sampling: input.sampling,
        key,
        forbidden: input.forbidden,
        history: new TokenHistory(input.prompt, input.answer),
        position,
      });
      assert.equal(drawn, expected.token);
    }),
    { numRuns: 2_000 },
  );
});

test('large vocabularies keep exactly the k likeliest tokens, or those of the share p', () => {
  const size = 20_000;
  const sampler = new Sampler(size);
  fc.assert(
    fc.property(
      fc.nat(),
      fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 300 })),
      fc.constantFrom(1, 0.97, 0.5),
      fc.constantFrom(0, 0.01),
      fc.double({ min: 0.1, max: 3, noNaN: true }),
      (seed, topK, topP, minP, temperature) => {
        const logits = Float32Array.from(
          { length: size },
          (_, id) => 12 * uniform(seedKey(seed, 1), id) ** 3,
        );
        const sampling = {
          temperature,
          topK,
          topP,
          minP,
          repetitionPenalty: 1,
          frequencyPenalty: 0,
          presencePenalty: 0,
          logitBias: [],
          seed,
        };
        const input = { logits: [...logits], sampling, prompt: [], answer: [], forbidden: new Set<number>() };
        const expected = drawByReference(input, uniform(seedKey(seed, 0), 5));
        fc.pre(expected.margin > 1e-9);
        const draw = {
          sampling,
          key: seedKey(seed, 0),
          forbidden: new Set<number>(),
          history: new TokenHistory([]),
          position: 5,
        };
        assert.equal(sampler.draw(logits, draw), expected.token);
      },
    ),
    { numRuns: 40 },
  );
});
