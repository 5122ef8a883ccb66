/**
 * Do the shards of this model, cut as planned, compute what the whole model computes, on this machine? Asked before a
 * runner says that its shard is ready, of a tiny likeness with random weights. It catches what a table of rules cannot
 * know: a file with another pattern of layers, a build that names the nodes of its graphs differently.
 */

import { getNumber } from '../../models/gguf/metadata.js';
import { architectureOf, findLegalCuts, isLegalShard } from '../../models/sharding/legalCuts.js';
import type { LayerRange } from '../../models/sharding/shardModel.js';
import { firstPart, joinedHeader } from '../../models/splitFiles.js';
import { ShoalError } from '../../shared/errors.js';
import { TIMES } from '../../shared/limits.js';
import type { LayerCuts } from '../../shared/modelDivision.js';
import type { Engine } from '../contract.js';
import { native } from '../llama/binding/native.js';
import { verifyModelFile } from '../llama/shard/verifyFile.js';
import { openLikenessShard, openWholeLikeness } from './likenessEngines.js';
import { pipelineTrial } from './pipelineTrial.js';
import { tinyLikeness } from './tinyLikeness.js';

export interface ShardSelfTestOptions {
  readonly modelPath: string;
  /** All shards of the plan, in order: together they are the whole model. */
  readonly shards: readonly LayerRange[];
  /** @default TIMES.shardSelfTestMs */
  readonly timeoutMs?: number;
  /** Called between its steps; false ends it with `cancelled`. */
  readonly onStep?: () => boolean;
}

/**
 * Blocks the thread while it computes.
 * @throws {ShoalError} `sharding_unsupported` when the cut is not legal, a result differs, a change between shards goes
 *   unnoticed, or time runs out; `model_not_found`, `model_unsupported`, `model_load_failed`, `engine_unavailable` or `cancelled`
 */
export function shardSelfTest({
  modelPath,
  shards,
  timeoutMs = TIMES.shardSelfTestMs,
  onStep = () => true,
}: ShardSelfTestOptions): void {
  const deadline = performance.now() + timeoutMs;
  const inTime = (): void => {
    if (!onStep()) throw new ShoalError('cancelled', 'The self-test of the shards was ended.');
    if (performance.now() < deadline) return;
    throw failed(`it took longer than ${timeoutMs} ms`);
  };
  const header = joinedHeader(modelPath);
  const architecture = architectureOf(header) ?? '';
  const legal = findLegalCuts(header, architecture, getNumber(header, `${architecture}.block_count`) ?? 0);
  if (!legal.canBeCut)
    throw new ShoalError('sharding_unsupported', `This model cannot be cut: ${legal.reason}`);
  requireLegalPlan(shards, legal);
  verifyModelFile(native(), firstPart(modelPath), header);
  const likeness = tinyLikeness(header);
  const engines: Engine[] = [];
  try {
    const whole = openWholeLikeness(likeness, legal.layers);
    engines.push(whole);
    for (const range of shards) {
      inTime();
      engines.push(openLikenessShard(likeness, range));
    }
    const result = pipelineTrial(whole, engines.slice(1), inTime);
    if (result.different > 0) {
      throw failed(`${result.different} of ${result.compared} numbers differ from those of the whole model`);
    }
    if (shards.length > 1 && result.changedByPerturbation === 0) {
      throw failed('what one shard gives to the next makes no difference');
    }
  } finally {
    for (const engine of engines) engine.close();
  }
}

function requireLegalPlan(
  shards: readonly LayerRange[],
  legal: LayerCuts & { readonly canBeCut: true },
): void {
  let next = 0;
  for (const { first, end } of shards) {
    if (first !== next || !isLegalShard(legal, first, end)) {
      throw new ShoalError(
        'sharding_unsupported',
        `The layers [${first}, ${end}) are no legal shard of the plan.`,
      );
    }
    next = end;
  }
  if (next === legal.layers) return;
  throw new ShoalError('sharding_unsupported', `The shards end before layer ${next} of ${legal.layers}.`);
}

function failed(why: string): ShoalError {
  return new ShoalError('sharding_unsupported', `The shards fail their self-test on this machine: ${why}.`);
}
