/**
 * Do the slices of this model, all of them together, compute what the whole model computes, on this machine? Asked before
 * a runner says that its slice is ready, of a tiny likeness with random weights and as many slices. It catches a build
 * whose graphs are others than those that the slices were written for.
 */
import { architectureOf } from '../../models/sharding/legalCuts.js';
import { findTensorSlices } from '../../models/sharding/tensorSlices.js';
import { firstPart, joinedHeader } from '../../models/splitFiles.js';
import { ShoalError } from '../../shared/errors.js';
import { TIMES } from '../../shared/limits.js';
import { slicesRefusal } from '../../shared/modelDivision.js';
import type { StepInput } from '../contract.js';
import { native } from '../llama/binding/native.js';
import { verifyModelFile } from '../llama/shard/verifyFile.js';
import { openLikenessSlice, openWholeLikeness } from './likenessEngines.js';
import { comparisonTrial, logitsOf, PERTURBATION } from './pipelineTrial.js';
import { LIKENESS_LAYERS, sliceLikeness } from './sliceLikeness.js';
import { SlicesTogether } from './slicesTogether.js';

export interface SliceSelfTestOptions {
  readonly modelPath: string;
  readonly worldSize: number;
  /** @default TIMES.shardSelfTestMs */
  readonly timeoutMs?: number;
}

/** Of the largest logit of a row, in f32: sums in another order differ by a hundredth of it. */
export const SLICE_TOLERANCE = 1e-4;

/**
 * Blocks the thread while it computes.
 * @throws {ShoalError} `sharding_unsupported` when the model cannot be divided so, a result differs, a change of one
 *   rank's part goes unnoticed, or time runs out; `model_not_found`, `model_unsupported`, `model_load_failed` or
 *   `engine_unavailable`
 */
export function sliceSelfTest({
  modelPath,
  worldSize,
  timeoutMs = TIMES.shardSelfTestMs,
}: SliceSelfTestOptions): void {
  const deadline = performance.now() + timeoutMs;
  const inTime = (): void => {
    if (performance.now() >= deadline) throw failed(`it took longer than ${timeoutMs} ms`);
  };
  const header = joinedHeader(modelPath);
  const refusal = slicesRefusal(findTensorSlices(header, architectureOf(header) ?? ''), worldSize);
  if (refusal !== null) {
    throw new ShoalError(
      'sharding_unsupported',
      `This model cannot be divided into ${worldSize} slices: ${refusal}`,
    );
  }
  verifyModelFile(native(), firstPart(modelPath), header);
  inTime();
  const likeness = sliceLikeness(header, worldSize);
  const exact = { exactAttention: true };
  const whole = openWholeLikeness(likeness, LIKENESS_LAYERS, null, exact);
  try {
    const slices = new SlicesTogether(worldSize, (rank, allReduce) => {
      inTime();
      return openLikenessSlice(likeness, { rank, worldSize, allReduce, ...exact });
    });
    try {
      const compute = (input: StepInput, isChanged: boolean) =>
        logitsOf(slices.step(input, isChanged ? changeLast(worldSize) : undefined));
      const result = comparisonTrial(whole, { engines: slices.engines, compute }, inTime);
      // Written so that NaN fails too.
      if (!(result.worst <= SLICE_TOLERANCE)) {
        throw failed(`a logit is off by ${result.worst} of the largest, and ${SLICE_TOLERANCE} is allowed`);
      }
      if (result.changedByPerturbation === 0) throw failed('what one rank adds makes no difference');
    } finally {
      slices.close();
    }
  } finally {
    whole.close();
  }
}

/** The first number that the last rank adds is another. */
function changeLast(worldSize: number) {
  return (part: Float32Array, rank: number, sum: number): void => {
    if (sum > 0 || rank !== worldSize - 1) return;
    // The last number is a vote.
    const largest = part.subarray(0, -1).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    part[0] = (part[0] as number) + largest * PERTURBATION;
  };
}

function failed(why: string): ShoalError {
  return new ShoalError('sharding_unsupported', `The slices fail their self-test on this machine: ${why}.`);
}
