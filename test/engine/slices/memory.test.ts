/** What slices take, measured in processes of their own, against the estimate that placement trusts. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { randomModel } from '../../../bench/engine/randomModel.js';
import { ShardSizes } from '../../../src/control/placement/shardMemory.js';
import { cardOf } from '../../../src/models/card.js';
import { joinedHeader } from '../../../src/models/splitFiles.js';
import type { ModelId } from '../../../src/shared/ids.js';
import { ENGINE } from '../../../src/shared/limits.js';
import { placementShape } from '../../../src/worker/placementShape.js';
import { residentBytesOf } from '../residentMemory.js';
import { temporaryFolder } from '../support.js';

const TOLERANCE = 0.05;
const CELLS = 2048;
const SEQUENCES = 4;
/**
 * What the kernel maps with the ends of a matrix's piece in the file, which other ranks have: it keeps the file in large
 * folios. Mapped, not needed.
 */
const MAPPED_BESIDE_BYTES = 128 * 1024;
const SLICED_MATRICES_OF_LAYER = 5;
const CHILD = new URL('memoryChild.js', import.meta.url);

it('R36: slices of the 0.6B shape take what is estimated, within 5 %', {
  skip: process.platform !== 'linux',
}, () => {
  const folder = temporaryFolder();
  // Mapped as it is in the file where it can be, and copied into another layout.
  const cases = {
    q8_0: [[0, 2]],
    q4_0: [
      [1, 2],
      [3, 4],
    ],
  } as const;
  for (const format of ['q8_0', 'q4_0'] as const) {
    const path = randomModel('qwen3-0.6b', format, folder);
    const card = cardOf(joinedHeader(path), 'random');
    const shape = placementShape('random' as ModelId, card);
    const size = { contextTokens: CELLS, sequences: SEQUENCES, cacheCells: CELLS };
    const sizes = new ShardSizes(shape, size, [0, shape.layers]);
    for (const [rank, worldSize] of cases[format]) {
      const estimated = sizes.slice(rank, worldSize).totalBytes;
      const besideBytes =
        format === 'q8_0' ? shape.layers * SLICED_MATRICES_OF_LAYER * MAPPED_BESIDE_BYTES : 0;
      const measure = () =>
        residentBytesOf(CHILD, [path, rank, worldSize, CELLS, ENGINE.batchRows, SEQUENCES]) - besideBytes;
      const isNear = (measured: number) => Math.abs(estimated / measured - 1) <= TOLERANCE;
      let measured = measure();
      // On a busy machine the garbage collector comes late: the least of two is what is needed.
      if (!isNear(measured)) measured = Math.min(measured, measure());
      assert.ok(
        isNear(measured),
        `${format} rank ${rank} of ${worldSize}: ${estimated} bytes estimated, ${measured} measured`,
      );
    }
  }
});
