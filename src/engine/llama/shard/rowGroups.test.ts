import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { rowGroups } from './rowGroups.js';

it('R62: each row is in one group; a group is one sequence, or one row of each in ascending order', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(5), { minLength: 1, maxLength: 20 }), (list) => {
      const sequences = Int32Array.from(list);
      const groups = rowGroups(sequences);
      assert.deepEqual(
        groups.flat().sort((a, b) => a - b),
        [...list.keys()],
      );
      for (const rows of groups) {
        const own = rows.map((row) => list[row] as number);
        const isOne = new Set(own).size === 1;
        if (isOne)
          assert.deepEqual(
            rows,
            [...rows].sort((a, b) => a - b),
          );
        else
          assert.deepEqual(
            own,
            [...new Set(own)].sort((a, b) => a - b),
          );
      }
    }),
  );
});
