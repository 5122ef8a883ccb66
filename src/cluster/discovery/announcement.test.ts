import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { NodeId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { type Announcement, AnnouncementSeal, NOBODY } from './announcement.js';
import { RateLimit } from './rateLimit.js';
import { ReplayGuard } from './replayGuard.js';

const boot = fc.uint8Array({ minLength: 8, maxLength: 8 }).map((bytes) => Buffer.from(bytes).toString('hex'));
const announcement: fc.Arbitrary<Announcement> = fc.record(
  {
    kind: fc.constantFrom('hello', 'ask', 'answer'),
    nodeId: fc.stringMatching(/^[a-z2-7]{1,60}$/).map((id) => id as NodeId),
    boot,
    to: boot,
    sequence: fc.nat(2 ** 31 - 1),
    clockMs: fc.nat({ max: 2 ** 31 - 1 }).map((seconds) => seconds * 1_000),
    port: fc.integer({ min: 1, max: 65_535 }),
  },
  { noNullPrototype: true },
);

describe('announcements', () => {
  const key = randomBytes(32);
  const seal = new AnnouncementSeal(key);

  test('what is sealed is opened the same, by those with the key and no one else', () => {
    fc.assert(
      fc.property(announcement, (said) => {
        const packet = seal.seal(said);
        assert.ok(packet.length <= LIMITS.announcementBytes);
        assert.deepEqual(new AnnouncementSeal(key).open(packet), { is: 'announcement', announcement: said });
        assert.equal(new AnnouncementSeal(randomBytes(32)).open(packet).is, 'other_cluster');
      }),
    );
  });

  test('no change of any byte goes unnoticed', () => {
    fc.assert(
      fc.property(announcement, fc.nat(), fc.integer({ min: 1, max: 255 }), (said, place, change) => {
        const packet = seal.seal(said);
        const at = place % packet.length;
        packet[at] = (packet[at] as number) ^ change;
        assert.ok(['forged', 'malformed', 'other_cluster'].includes(seal.open(packet).is));
      }),
      { numRuns: 500 },
    );
  });

  test('any bytes are told apart without an exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        assert.notEqual(seal.open(Buffer.from(bytes)).is, 'announcement');
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('repetition', () => {
  const NOW_MS = 1_000_000_000;
  const from = (more: Partial<Announcement>): Announcement => ({
    kind: 'hello',
    nodeId: 'a' as NodeId,
    boot: '01'.repeat(8),
    to: NOBODY,
    sequence: 1,
    clockMs: NOW_MS,
    port: 1,
    ...more,
  });

  test('each sequence number counts once, whatever the order in which paths deliver it', () => {
    const order = fc.shuffledSubarray(Array.from({ length: 60 }, (_, number) => number + 1));
    fc.assert(
      fc.property(order, fc.array(fc.nat(59)), (first, repeated) => {
        const guard = new ReplayGuard('ff'.repeat(8));
        for (const sequence of first) assert.notEqual(guard.judge(from({ sequence }), NOW_MS), 'repeated');
        for (const place of repeated) {
          const sequence = first[place];
          if (sequence !== undefined) assert.equal(guard.judge(from({ sequence }), NOW_MS), 'repeated');
        }
      }),
    );
  });

  test('an old number is repeated, also one that was never heard', () => {
    const guard = new ReplayGuard('ff'.repeat(8));
    guard.judge(from({ sequence: 1_000 }), NOW_MS);
    assert.equal(guard.judge(from({ sequence: 900 }), NOW_MS), 'repeated');
    assert.equal(guard.judge(from({ sequence: 999 }), NOW_MS), 'known');
  });

  test('a boot that was not heard is believed with a near clock, or when it speaks to our boot', () => {
    const own = 'ff'.repeat(8);
    const guard = new ReplayGuard(own);
    const far = { clockMs: NOW_MS - TIMES.clockSkewMs - 1 };
    assert.equal(guard.judge(from(far), NOW_MS), 'doubtful');
    assert.equal(guard.judge(from({ ...far, to: own }), NOW_MS), 'newcomer');
    assert.equal(guard.judge(from({ ...far, sequence: 2 }), NOW_MS), 'known');
  });

  test('after a restart, packets of the life before are doubtful', () => {
    const guard = new ReplayGuard('ff'.repeat(8));
    guard.judge(from({}), NOW_MS);
    assert.equal(guard.judge(from({ boot: '02'.repeat(8), clockMs: NOW_MS + 10 }), NOW_MS), 'newcomer');
    assert.equal(guard.judge(from({ sequence: 2, clockMs: NOW_MS + 5 }), NOW_MS), 'doubtful');
  });

  test('the memory is bounded, and those heard last stay', () => {
    const guard = new ReplayGuard('ff'.repeat(8));
    const judge = (node: number, sequence: number) =>
      guard.judge(from({ nodeId: `n${node}` as NodeId, sequence }), NOW_MS);
    for (let node = 0; node < LIMITS.discoveredNodes + 1; node += 1) {
      judge(node, 1);
      if (node > 0) assert.notEqual(judge(1, node + 1), 'doubtful');
    }
    assert.equal(judge(1, 1), 'repeated');
    assert.equal(judge(0, 1), 'newcomer');
  });
});

test('one source cannot use up what all sources have', () => {
  const limit = new RateLimit({ perSecond: 10, perSourcePerSecond: 4 });
  const take = (source: string, times: number, nowMs: number) =>
    Array.from({ length: times }, () => limit.take(source, nowMs)).filter(Boolean).length;
  assert.deepEqual([take('a', 9, 0), take('b', 9, 1), take('c', 9, 2), take('d', 9, 3)], [4, 4, 2, 0]);
  assert.equal(take('a', 9, 1_000), 4);
});
