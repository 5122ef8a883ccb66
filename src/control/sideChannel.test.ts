import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { InstanceId } from '../shared/ids.js';
import { LIMITS } from '../shared/limits.js';
import { type Contribution, type GatherAnswer, SideChannelGatherings } from './sideChannel.js';

const INSTANCE = 'instance' as InstanceId;
let calls = 0;

function from(rank: number, more: Partial<Contribution> = {}): Contribution {
  calls += 1;
  return {
    instanceId: INSTANCE,
    attempt: 0,
    round: 0,
    rank,
    worldSize: 2,
    blob: Uint8Array.of(rank, more.round ?? 0, more.attempt ?? 0),
    caller: `call ${calls}`,
    ...more,
  };
}

const codeOf = ([answer]: readonly GatherAnswer[]) =>
  answer?.result.kind === 'refused' ? answer.result.fault.code : answer?.result.kind;

test('R51: a round is answered to all ranks, in their order, once every rank has contributed', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 8 }).chain((worldSize) =>
        fc.record({
          worldSize: fc.constant(worldSize),
          orders: fc.array(
            fc.shuffledSubarray([...Array(worldSize).keys()], { minLength: worldSize, maxLength: worldSize }),
            { minLength: 1, maxLength: 4 },
          ),
        }),
      ),
      ({ worldSize, orders }) => {
        const gatherings = new SideChannelGatherings();
        for (const [round, order] of orders.entries()) {
          const sent = order.map((rank) => from(rank, { round, worldSize }));
          const answers = sent.map((contribution) => gatherings.contribute(contribution));
          for (const early of answers.slice(0, -1)) assert.deepEqual(early, []);
          const blobs = [...sent].sort((a, b) => a.rank - b.rank).map(({ blob }) => blob);
          assert.deepEqual(
            new Set(answers.at(-1)),
            new Set(sent.map(({ caller }) => ({ caller, result: { kind: 'gathered', blobs } }))),
          );
        }
      },
    ),
  );
});

/** What may happen to one instance of three ranks, in any order. */
const happenings = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constant('contribute' as const),
        rank: fc.nat(2),
        round: fc.nat(2),
        attempt: fc.nat(2),
        other: fc.boolean(),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('drop' as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('leave' as const), call: fc.nat(30) }) },
  ),
  { maxLength: 60 },
);

test('R51, R52: whatever is late, repeated, dropped or left: one answer at most, whole rounds of one attempt only', () => {
  fc.assert(
    fc.property(happenings, (events) => {
      const gatherings = new SideChannelGatherings();
      const asked = new Map<string, Contribution>();
      const answered = new Set<string>();
      const left = new Set<string>();
      const rounds = new Map<string, string>();
      const hear = (answers: readonly GatherAnswer[]) => {
        for (const { caller, result } of answers) {
          const contribution = asked.get(caller)!;
          assert.ok(!answered.has(caller) && !left.has(caller), `${caller} is answered again`);
          answered.add(caller);
          if (result.kind === 'refused') continue;
          const { attempt, round, rank, blob } = contribution;
          assert.equal(result.blobs.length, 3);
          assert.deepEqual(result.blobs[rank], blob);
          for (const [index, theirs] of result.blobs.entries()) {
            assert.deepEqual([...theirs.subarray(0, 3)], [index, round, attempt]);
          }
          const text = JSON.stringify(result.blobs.map((theirs) => [...theirs]));
          const key = `${generation} ${attempt} ${round}`;
          assert.equal(rounds.get(key) ?? text, text, 'two ranks got different blobs');
          rounds.set(key, text);
        }
      };
      let generation = 0;
      for (const event of events) {
        if (event.kind === 'drop') {
          hear(gatherings.drop(INSTANCE, 'deleted'));
          generation += 1;
          assert.equal(gatherings.size, 0);
          for (const caller of asked.keys()) assert.ok(answered.has(caller) || left.has(caller));
        } else if (event.kind === 'leave') {
          const caller = [...asked.keys()][event.call];
          if (caller === undefined || answered.has(caller)) continue;
          gatherings.leave(INSTANCE, caller);
          left.add(caller);
        } else {
          const { rank, round, attempt, other } = event;
          const blob = Uint8Array.of(rank, round, attempt, Number(other));
          const contribution = from(rank, { round, attempt, worldSize: 3, blob });
          asked.set(contribution.caller, contribution);
          hear(gatherings.contribute(contribution));
        }
      }
    }),
    { numRuns: 500 },
  );
});

test('R52: a deleted instance answers those that wait, and is forgotten', () => {
  const gatherings = new SideChannelGatherings();
  const waiting = from(0);
  gatherings.contribute(waiting);
  assert.deepEqual(gatherings.drop(INSTANCE, 'the instance was deleted'), [
    {
      caller: waiting.caller,
      result: { kind: 'refused', fault: { code: 'cancelled', message: 'the instance was deleted' } },
    },
  ]);
  assert.equal(gatherings.size, 0);
  assert.deepEqual(gatherings.drop(INSTANCE, 'again'), []);
});

test('R52: a new attempt ends the one before it, whose late ranks are refused', () => {
  const gatherings = new SideChannelGatherings();
  const waiting = from(0);
  gatherings.contribute(waiting);
  const answers = gatherings.contribute(from(1, { attempt: 1 }));
  assert.deepEqual(
    answers.map(({ caller }) => caller),
    [waiting.caller],
  );
  assert.equal(codeOf(answers), 'cancelled');
  assert.equal(codeOf(gatherings.contribute(from(1))), 'cancelled');
  assert.equal(gatherings.contribute(from(0, { attempt: 1 })).length, 2);
});

test('R53: what is malformed, too long or too much is refused and changes nothing', () => {
  const gatherings = new SideChannelGatherings();
  const tooLong = new Uint8Array(LIMITS.sideChannelBlobBytes + 1);
  for (const bad of [
    from(2),
    from(-1),
    from(0.5),
    from(0, { round: -1 }),
    from(0, { worldSize: 0 }),
    from(0, { worldSize: LIMITS.shardsPerInstance + 1 }),
    from(0, { blob: tooLong }),
  ]) {
    assert.equal(codeOf(gatherings.contribute(bad)), 'invalid_request');
  }
  assert.equal(gatherings.size, 0);
  gatherings.contribute(from(0));
  assert.equal(codeOf(gatherings.contribute(from(1, { worldSize: 3 }))), 'invalid_request');
  assert.equal(codeOf(gatherings.contribute(from(1, { round: 1 }))), 'invalid_request');
  for (let number = 1; number < LIMITS.sideChannelInstances; number += 1) {
    gatherings.contribute(from(0, { instanceId: `instance ${number}` as InstanceId }));
  }
  const oneMore = from(0, { instanceId: 'one more' as InstanceId });
  assert.equal(codeOf(gatherings.contribute(oneMore)), 'queue_full');
});
