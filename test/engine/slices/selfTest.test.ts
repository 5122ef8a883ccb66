/** The self-test of all slices of a plan, before any of them is used. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { openLikenessSlice, openWholeLikeness } from '../../../src/engine/selfTest/likenessEngines.js';
import { comparisonTrial, logitsOf } from '../../../src/engine/selfTest/pipelineTrial.js';
import { LIKENESS_LAYERS, sliceLikeness } from '../../../src/engine/selfTest/sliceLikeness.js';
import { SLICE_TOLERANCE, sliceSelfTest } from '../../../src/engine/selfTest/sliceSelfTest.js';
import { SlicesTogether } from '../../../src/engine/selfTest/slicesTogether.js';
import { joinedHeader } from '../../../src/models/splitFiles.js';
import { temporaryFolder, tinyModel, tinyShape, writeModel } from '../support.js';

const folder = temporaryFolder();
const isUnsupported = { code: 'sharding_unsupported' };
const SIZES = { hiddenSize: 64, heads: 16, kvHeads: 8, headSize: 4, feedForwardSize: 96, layers: 5 };
const paths = (['llama', 'qwen2', 'qwen3'] as const).map((architecture) =>
  writeModel(folder, architecture, tinyModel(tinyShape(architecture, SIZES))),
);

describe('R62: the self-test of slices', () => {
  it('passes for one, two, four and eight slices of each family, again and again', () => {
    for (const modelPath of paths)
      for (const worldSize of [1, 2, 4, 8]) sliceSelfTest({ modelPath, worldSize });
  });

  it('a part that is left out, or added twice, is far beyond what it allows', () => {
    for (const factor of [0, 2]) {
      const likeness = sliceLikeness(joinedHeader(paths[0] as string), 2);
      const exact = { exactAttention: true };
      const whole = openWholeLikeness(likeness, LIKENESS_LAYERS, null, exact);
      const slices = new SlicesTogether(2, (rank, allReduce) =>
        openLikenessSlice(likeness, { rank, worldSize: 2, allReduce, ...exact }),
      );
      const result = comparisonTrial(
        whole,
        {
          engines: slices.engines,
          compute: (input) =>
            logitsOf(
              slices.step(input, (part, rank, sum) => {
                if (rank === 1 && sum === 2) part.set(part.map((value) => value * factor));
              }),
            ),
        },
        () => undefined,
      );
      slices.close();
      whole.close();
      assert.ok(result.worst > 100 * SLICE_TOLERANCE, `only ${result.worst}`);
    }
  });

  it('refuses what does not divide, and what is not there', () => {
    const [modelPath = ''] = paths;
    assert.throws(() => sliceSelfTest({ modelPath, worldSize: 3 }), {
      ...isUnsupported,
      message: /its 8 KV heads do not divide by 3/,
    });
    assert.throws(() => sliceSelfTest({ modelPath: `${modelPath}.not`, worldSize: 2 }), {
      code: 'model_not_found',
    });
  });

  it('is bounded in time', () => {
    assert.throws(() => sliceSelfTest({ modelPath: paths[0] as string, worldSize: 2, timeoutMs: 0 }), {
      ...isUnsupported,
      message: /longer than 0 ms/,
    });
  });
});
