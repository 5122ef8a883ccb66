import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ShoalError } from '../../shared/errors.js';
import { TokenHistory } from './history.js';
import { type ResolvedSampling, resolveSampling } from './parameters.js';
import { seedKey } from './random.js';
import { type Draw, Sampler } from './sampler.js';

function drawWith(sampling: Partial<ResolvedSampling>, more: Partial<Draw> = {}): Draw {
  return {
    sampling: resolveSampling({ seed: 1, ...sampling }, {}, 8),
    key: seedKey(sampling.seed ?? 1, 0),
    forbidden: new Set(),
    history: new TokenHistory([]),
    position: 0,
    ...more,
  };
}

const LOGITS = Float32Array.of(0, 1, 2, 3, 3, -1, 0.5, 2.5);

test('temperature 0 takes the highest logit, the lowest id among equals', () => {
  assert.equal(new Sampler(8).draw(LOGITS, drawWith({ temperature: 0 })), 3);
  assert.equal(new Sampler(8).draw(LOGITS, drawWith({ temperature: 0 }, { forbidden: new Set([3]) })), 4);
});

test('drawn frequencies agree with the probabilities (chi-square, fixed seeds)', () => {
  const sampler = new Sampler(8);
  for (const temperature of [0.7, 1, 2]) {
    const weights = [...LOGITS].map((logit) => Math.exp(logit / temperature));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const counts = new Array<number>(8).fill(0);
    const draws = 20_000;
    for (let position = 0; position < draws; position++) {
      counts[sampler.draw(LOGITS, drawWith({ temperature, seed: 99 }, { position }))]! += 1;
    }
    const chiSquare = counts.reduce((sum, count, token) => {
      const expected = (draws * weights[token]!) / total;
      return sum + (count - expected) ** 2 / expected;
    }, 0);
    assert.ok(
      chiSquare < 24.3,
      `chi-square ${chiSquare} of 7 degrees of freedom (p = 0.001), T = ${temperature}`,
    );
  }
});

test('R63: a draw depends on its arguments only, not on the draws before it', () => {
  const sampler = new Sampler(8);
  const draws = Array.from({ length: 200 }, (_, position) =>
    drawWith({ temperature: 1.3, topP: 0.9, seed: position % 7 }, { position }),
  );
  const forwards = draws.map((draw) => sampler.draw(LOGITS, draw));
  const backwards = [...draws].reverse().map((draw) => sampler.draw(LOGITS, draw));
  assert.deepEqual(backwards.reverse(), forwards);
  assert.deepEqual(
    draws.map((draw) => new Sampler(8).draw(LOGITS, draw)),
    forwards,
  );
  assert.ok(new Set(forwards).size > 3);
});

test('drawing leaves the logits as they were', () => {
  const logits = LOGITS.slice();
  new Sampler(8).draw(logits, drawWith({ logitBias: [[2, 50]], repetitionPenalty: 1.5 }));
  assert.deepEqual(logits, LOGITS);
});

test('R66: logits that are not numbers are an engine_error, minus infinity only forbids a token', () => {
  const sampler = new Sampler(8);
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
    for (const sampling of [{ temperature: 0 }, { temperature: 1 }, { logitBias: [[1, 1]] as const }]) {
      const logits = LOGITS.slice();
      logits[7] = bad;
      assert.throws(
        () => sampler.draw(logits, drawWith(sampling)),
        (error) => error instanceof ShoalError && error.code === 'engine_error',
      );
    }
  }
  const nothing = new Float32Array(8).fill(Number.NEGATIVE_INFINITY);
  assert.throws(() => sampler.draw(nothing, drawWith({})), ShoalError);
  nothing[6] = -5;
  assert.equal(sampler.draw(nothing, drawWith({})), 6);
});

test('a parameter that the request leaves out comes from the model, and else changes nothing', () => {
  const recommended = { temperature: 0.6, topK: 20 };
  const resolved = resolveSampling({ seed: 5, topK: 3 }, recommended, 10);
  assert.deepEqual(resolved, {
    temperature: 0.6,
    topK: 3,
    topP: 1,
    minP: 0,
    repetitionPenalty: 1,
    frequencyPenalty: 0,
    presencePenalty: 0,
    logitBias: [],
    seed: 5,
  });
});

test('parameters out of range are refused with the name of the field', () => {
  const refusals: [Record<string, unknown>, string][] = [
    [{ temperature: -1 }, 'temperature'],
    [{ temperature: Number.NaN }, 'temperature'],
    [{ topK: 1.5 }, 'top_k'],
    [{ topP: 1.1 }, 'top_p'],
    [{ minP: -0.1 }, 'min_p'],
    [{ repetitionPenalty: 0 }, 'repetition_penalty'],
    [{ logitBias: [[10, 1]] }, 'logit_bias'],
    [{ logitBias: [[1, Number.NaN]] }, 'logit_bias'],
    [{ seed: Number.POSITIVE_INFINITY }, 'seed'],
  ];
  for (const [asked, param] of refusals) {
    assert.throws(
      () => resolveSampling({ seed: 1, ...asked }, {}, 10),
      (error) => error instanceof ShoalError && error.code === 'invalid_request' && error.param === param,
    );
  }
});
