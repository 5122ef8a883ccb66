import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { NodeId } from '../../shared/ids.js';
import { decides, judge, type Life } from './admission.js';

const life = (nodeId: string, incarnation = 1, bootId = `boot ${incarnation}`): Life => ({
  nodeId: nodeId as NodeId,
  incarnation,
  bootId,
});

function verdict(self: Life, newcomer: Life, present: Life | null, isFull = false): string {
  const judged = judge(self, newcomer, present, isFull);
  return judged.kind === 'refuse' ? judged.farewell.code : judged.kind;
}

test('R35: which connection becomes the link to a node', () => {
  const low = life('a');
  const high = life('b');
  assert.equal(verdict(low, high, null), 'open');
  assert.equal(verdict(low, high, null, true), 'full');
  assert.equal(verdict(low, high, high, true), 'probePresent');
  assert.equal(verdict(low, high, high), 'probePresent');
  assert.equal(verdict(high, low, low), 'open');
  assert.equal(verdict(low, life('b', 3), high, true), 'open');
  assert.equal(verdict(low, life('b', 1), life('b', 3)), 'copiedHome');
  assert.equal(verdict(low, life('b', 3, 'one'), life('b', 3, 'two')), 'copiedHome');
  assert.equal(verdict(low, low, null), 'self');
  assert.equal(verdict(low, life('a', 1, 'elsewhere'), null), 'copiedHome');
  assert.equal(verdict(low, life('a', 2), null), 'copiedHome');
});

test('of two nodes exactly one decides, and no older life ever takes the place of a newer one', () => {
  const ids = fc.string({ minLength: 1 }).map((text) => text as NodeId);
  fc.assert(
    fc.property(ids, ids, (first, second) => {
      if (first !== second) assert.notEqual(decides(first, second), decides(second, first));
    }),
  );
  const incarnation = fc.integer({ min: 1, max: 4 });
  const boot = fc.constantFrom('one', 'two');
  fc.assert(
    fc.property(
      ids,
      incarnation,
      boot,
      incarnation,
      boot,
      (nodeId, newIncarnation, newBoot, present, presentBoot) => {
        const self = life(`${nodeId}x`);
        const judged = verdict(
          self,
          life(nodeId, newIncarnation, newBoot),
          life(nodeId, present, presentBoot),
        );
        if (newIncarnation < present) assert.equal(judged, 'copiedHome');
        if (newIncarnation > present) assert.equal(judged, 'open');
        if (newIncarnation === present) assert.equal(judged === 'copiedHome', newBoot !== presentBoot);
      },
    ),
  );
});
