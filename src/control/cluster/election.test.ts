import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { NodeId } from '../../shared/ids.js';
import { anyNodeId } from '../arbitraries.js';
import { NODE, OTHER_NODE } from '../testing.js';
import { compareClaims, greatestClaim, isFirstInLine } from './election.js';
import type { Claim } from './messages.js';
import { comparePositions, ORIGIN, type Position } from './position.js';
import { epoch, pulse } from './testing.js';

const anyEpoch = fc.tuple(fc.nat(3), anyNodeId).map(([term, nodeId]) => epoch(term, nodeId));
const anyClaim = fc
  .tuple(anyEpoch, fc.integer({ min: 1, max: 3 }), fc.nat(2))
  .map(([epoch, members, since]): Claim => ({ epoch, members, since }));
const anyPosition: fc.Arbitrary<Position> = fc.record({ index: fc.nat(3), epoch: anyEpoch });

test('R59: claims are in one total order, so that two masters that meet agree on who stays', () => {
  fc.assert(
    fc.property(anyClaim, anyClaim, anyClaim, (a, b, c) => {
      assert.equal(Math.sign(compareClaims(a, b)), -Math.sign(compareClaims(b, a)) + 0);
      if (compareClaims(a, b) <= 0 && compareClaims(b, c) <= 0) assert.ok(compareClaims(a, c) <= 0);
      if (a.epoch.nodeId !== b.epoch.nodeId) assert.notEqual(compareClaims(a, b), 0);
    }),
  );
});

test('R57: the greater cluster stays, whatever the terms; of two as great the one that rules longer', () => {
  const great = { epoch: epoch(1), members: 3, since: 2_000 };
  const late = { epoch: epoch(7, OTHER_NODE), members: 1, since: 3_000 };
  assert.ok(compareClaims(great, late) > 0);
  assert.ok(compareClaims({ ...great, members: 1 }, late) > 0);
  assert.ok(compareClaims({ ...great, members: 1, since: 3_000 }, late) < 0);
});

test('the greatest claim is the same in whatever order it is heard, and one that can be followed', () => {
  const heard = fc.uniqueArray(fc.tuple(anyNodeId, fc.array(anyClaim, { maxLength: 3 })), {
    selector: ([nodeId]) => nodeId,
  });
  fc.assert(
    fc.property(heard, anyNodeId, (said, unreachable) => {
      const pulses = said.map(([nodeId, claims]) => [nodeId, pulse({ claims })] as const);
      const canFollow = (claim: Claim) => claim.epoch.nodeId !== unreachable;
      const greatest = greatestClaim(pulses, canFollow);
      const all = said.flatMap(([, claims]) => claims).filter(canFollow);
      assert.equal(greatest === null, all.length === 0);
      if (greatest === null) return;
      assert.ok(canFollow(greatest));
      assert.ok(all.every((claim) => compareClaims(claim, greatest) <= 0));
      assert.deepEqual(greatestClaim(pulses.toReversed(), canFollow), greatest);
    }),
  );
});

test('R57: among nodes that hear each other exactly one is first in line, and it has the newest log', () => {
  const nodes = fc.uniqueArray(
    fc.record({ nodeId: fc.stringMatching(/^[a-f]{1,3}$/).map((id) => id as NodeId), position: anyPosition }),
    { selector: ({ nodeId }) => nodeId, minLength: 1, maxLength: 8 },
  );
  fc.assert(
    fc.property(nodes, (all) => {
      const first = all.filter((self) =>
        isFirstInLine(
          self,
          all
            .filter((other) => other !== self)
            .map(({ nodeId, position }) => [nodeId, pulse({ position })] as const),
        ),
      );
      assert.equal(first.length, 1);
      for (const { position } of all) {
        assert.ok(comparePositions(position, first[0]?.position ?? ORIGIN) <= 0);
      }
    }),
  );
});

test('one node alone is first in line: there is no quorum', () => {
  assert.ok(isFirstInLine({ nodeId: NODE, position: ORIGIN }, []));
});
