import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyNodeId } from '../arbitraries.js';
import { NODE, OTHER_NODE } from '../testing.js';
import { compareEpochs, comparePositions, isSamePosition, ORIGIN, type Position } from './position.js';
import { epoch } from './testing.js';

const anyPosition: fc.Arbitrary<Position> = fc.record({
  index: fc.nat(3),
  epoch: fc.record({ term: fc.nat(3), nodeId: anyNodeId }),
});

test('positions are in one total order, in which only the same position is equal', () => {
  fc.assert(
    fc.property(anyPosition, anyPosition, anyPosition, (a, b, c) => {
      assert.equal(Math.sign(comparePositions(a, b)), -Math.sign(comparePositions(b, a)) + 0);
      if (comparePositions(a, b) <= 0 && comparePositions(b, c) <= 0) assert.ok(comparePositions(a, c) <= 0);
      assert.equal(
        isSamePosition(a, b),
        JSON.stringify(Object.values(a)) === JSON.stringify(Object.values(b)),
      );
      assert.ok(comparePositions(ORIGIN, { ...a, index: a.index + 1 }) < 0);
    }),
  );
});

test('the later term is newer, then the node; a long log of an old epoch is older than a short one of a new', () => {
  assert.ok(compareEpochs(epoch(1, OTHER_NODE), epoch(2, NODE)) < 0);
  assert.ok(compareEpochs(epoch(1, NODE), epoch(1, OTHER_NODE)) < 0);
  assert.ok(comparePositions({ index: 9, epoch: epoch(1) }, { index: 1, epoch: epoch(2) }) < 0);
  assert.ok(comparePositions({ index: 1, epoch: epoch(1) }, { index: 2, epoch: epoch(1) }) < 0);
});
