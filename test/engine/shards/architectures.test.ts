/**
 * Every architecture that may be cut, in tiny models with random weights: what the shards compute is what the whole
 * model computes, to the last bit. This is what puts an architecture into the table of rules.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Engine } from '../../../src/engine/contract.js';
import { openLikenessShard, openWholeLikeness } from '../../../src/engine/selfTest/likenessEngines.js';
import { pipelineTrial, type TrialResult } from '../../../src/engine/selfTest/pipelineTrial.js';
import { tinyLikeness } from '../../../src/engine/selfTest/tinyLikeness.js';
import type { GgufFile } from '../../../src/models/gguf/types.js';
import { CUT_RULES } from '../../../src/models/sharding/cutRules.js';
import { findLegalCuts } from '../../../src/models/sharding/legalCuts.js';
import { architectureHeader, LAYERS, tensorNames } from './architectureHeaders.js';

/** Runs the trial of the whole model against its shards, cut before these layers. */
function trial(whole: GgufFile, shards: GgufFile, cuts: readonly number[], layers = LAYERS): TrialResult {
  const boundaries = [0, ...cuts, layers];
  const engines: Engine[] = [];
  try {
    engines.push(openWholeLikeness(tinyLikeness(whole), layers));
    for (const [index, end] of boundaries.slice(1).entries()) {
      engines.push(openLikenessShard(tinyLikeness(shards), { first: boundaries[index] as number, end }));
    }
    return pipelineTrial(engines[0] as Engine, engines.slice(1));
  } finally {
    for (const engine of engines) engine.close();
  }
}

describe('R61, R62: whole and cut are equal bit for bit', () => {
  for (const architecture of CUT_RULES.keys()) {
    it(architecture, () => {
      const header = architectureHeader(architecture, { tensors: tensorNames(architecture) });
      const legal = findLegalCuts(header, architecture, LAYERS);
      assert.ok(legal.canBeCut);
      const [first, last] = [legal.cuts[0] as number, legal.cuts.at(-1) as number];
      const middle = legal.cuts[Math.floor(legal.cuts.length / 2)] as number;
      const plans = [[middle], ...(first < last ? [[first, last]] : [])];
      for (const cuts of plans) {
        const result = trial(header, header, cuts);
        assert.equal(result.different, 0, `cut before ${cuts.join(' and ')}: of ${result.compared}`);
        assert.ok(result.compared > 1000);
        assert.ok(result.changedByPerturbation > 0);
      }
    });
  }
});

it('R62: deepseek2 of a number of layers that llama.cpp takes for Lite, without low-rank queries', () => {
  const layers = 27;
  const header = architectureHeader('deepseek2', { tensors: tensorNames('deepseek2', layers), layers });
  assert.ok(header.tensors.some(({ name }) => name === 'blk.0.attn_q.weight'));
  const result = trial(header, header, [9, 20], layers);
  assert.equal(result.different, 0);
  assert.ok(result.changedByPerturbation > 0);
});

describe('R62: the comparison sees what it is there to see', () => {
  const tensors = tensorNames('gemma3');
  const withPattern = (pattern: number): GgufFile => {
    const header = architectureHeader('gemma3', { tensors });
    const key = 'gemma3.attention.sliding_window_pattern';
    return { ...header, metadata: new Map([...header.metadata, [key, { type: 'uint32', value: pattern }]]) };
  };

  it('layers of another kind in the shards', () => {
    assert.equal(trial(withPattern(3), withPattern(3), [6]).different, 0);
    assert.ok(trial(withPattern(3), withPattern(2), [6]).different > 0);
  });

  it('a cut where the kinds of layers do not repeat is refused, because it would compute something else', () => {
    const legal = findLegalCuts(withPattern(4), 'gemma3', LAYERS);
    assert.deepEqual(legal.canBeCut && legal.cuts, [4, 8]);
    assert.throws(() => openLikenessShard(tinyLikeness(withPattern(4)), { first: 0, end: 3 }), {
      code: 'sharding_unsupported',
    });
  });
});
