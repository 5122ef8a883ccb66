/** What a shard takes, measured in a process of its own, against the estimate that placement trusts. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { randomModel } from '../../../bench/engine/randomModel.js';
import { cardOf } from '../../../src/models/card.js';
import { estimateShardMemory } from '../../../src/models/memory.js';
import { joinedHeader } from '../../../src/models/splitFiles.js';
import { residentBytesOf } from '../residentMemory.js';
import { temporaryFolder } from '../support.js';

const TOLERANCE = 0.05;
const CELLS = 2048;
const ROWS = 128;
const SEQUENCES = 4;
const CHILD = new URL('memoryChild.js', import.meta.url);

it('R36: shards of the 0.6B shape take what is estimated, within 5 %', {
  skip: process.platform !== 'linux',
}, () => {
  const folder = temporaryFolder();
  // Mapped as it is in the file, and copied into another layout.
  for (const format of ['q8_0', 'q4_0'] as const) {
    const path = randomModel('qwen3-0.6b', format, folder);
    const card = cardOf(joinedHeader(path), 'random');
    for (const [startLayer, endLayer] of [
      [0, 14],
      [10, 20],
      [14, 28],
    ] as const) {
      const wish = { contextTokens: CELLS, sequences: SEQUENCES, cacheCells: CELLS, batchRows: ROWS };
      const estimated = estimateShardMemory(card, { startLayer, endLayer }, wish).totalBytes;
      const measured = residentBytesOf(CHILD, [path, startLayer, endLayer, CELLS, ROWS, SEQUENCES]);
      const error = estimated / measured - 1;
      assert.ok(
        Math.abs(error) <= TOLERANCE,
        `${format} [${startLayer}, ${endLayer}): ${estimated} bytes estimated, ${measured} measured`,
      );
    }
  }
});
