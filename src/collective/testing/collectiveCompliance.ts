/** What every implementation of `Collective` must do, as tests. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { ShoalError } from '../../shared/errors.js';
import { LIMITS } from '../../shared/limits.js';
import type { Collective } from '../contract.js';

/** Starts all ranks of a world; all are closed at the end of the test. */
type StartWorld = (context: TestContext, worldSize: number) => Promise<readonly Collective[]>;

const SIZES = [1, 2, 3, 4, 5];
const LIMIT = { timeout: 60_000 };

export function testCollective(implementation: string, startWorld: StartWorld): void {
  describe(`collective: ${implementation}`, { timeout: 300_000 }, () => {
    for (const size of SIZES) testWorld(size, (context) => startWorld(context, size));
    testFaults(startWorld);
  });
}

function testWorld(size: number, start: (context: TestContext) => Promise<readonly Collective[]>): void {
  test(
    `${size} ranks: sums are the same to the last bit on all, added in the order of ranks`,
    LIMIT,
    async (context) => {
      const ranks = await start(context);
      const lengths = fc.oneof(
        fc.integer({ min: 0, max: 40 }),
        fc.constantFrom(2_048, 16_384, 32_768, 65_536, 65_537, 100_003),
      );
      await fc.assert(
        fc.asyncProperty(lengths, fc.integer(), fc.boolean(), async (length, seed, isShared) => {
          const terms = ranks.map((_, rank) => drawFloats(length, seed + rank));
          const buffers = terms.map((term) => copyOf(term, isShared));
          await Promise.all(ranks.map((rank, index) => rank.allReduce(buffers[index]!)));
          const expected = Float32Array.from(terms[0]!);
          for (const term of terms.slice(1)) {
            for (const [index, value] of term.entries()) expected[index] = expected[index]! + value;
          }
          for (const buffer of buffers) assert.ok(isSame(buffer, expected));
        }),
        { numRuns: 25 },
      );
    },
  );

  test(`${size} ranks: tensors arrive whole and in order, whoever is first`, LIMIT, async (context) => {
    const ranks = await start(context);
    const sizes = [0, 1, 4_096, 16_384, 70_001, 1_000_000, 3, 0, 5_000_000];
    const pairs = ranks.flatMap((from) => from.neighbours.map((to) => [from, ranks[to]!] as const));
    await Promise.all(
      pairs.map(async ([from, to], pair) => {
        const tensors = sizes.map((length) => randomBytes(length));
        const send = async () => {
          for (const [tag, tensor] of tensors.entries()) {
            await from.send(to.rank, tag, [tensor.subarray(0, 3), tensor.subarray(3)]);
          }
        };
        const receive = async () => {
          for (const [tag, tensor] of tensors.entries()) {
            const into = tag % 2 === 0 ? new Uint8Array(new SharedArrayBuffer(tensor.length + 8)) : undefined;
            const received = await to.receive(from.rank, { tag, ...(into === undefined ? {} : { into }) });
            assert.equal(received.tag, tag);
            assert.ok(tensor.equals(received.bytes));
            if (into !== undefined) assert.equal(received.bytes.buffer, into.buffer);
          }
        };
        // Half of them send everything before anything is asked for.
        if (pair % 2 === 0) await send();
        await Promise.all([pair % 2 === 0 ? undefined : send(), receive()]);
      }),
    );
  });

  test(`${size} ranks: nobody passes a barrier before all have come`, LIMIT, async (context) => {
    const ranks = await start(context);
    for (let round = 0; round < 5; round += 1) {
      const late = ranks[round % size]!;
      let hasLateCome = false;
      const early = ranks
        .filter((rank) => rank !== late)
        .map(async (rank) => {
          await rank.barrier();
          assert.ok(hasLateCome);
        });
      // What the others send needs one turn of the loop or more to arrive.
      await new Promise((resolve) => setTimeout(resolve, 20));
      hasLateCome = true;
      await Promise.all([...early, late.barrier()]);
    }
  });

  test(
    `${size} ranks: control frames of each rank reach all others in order, beside tensors and sums`,
    LIMIT,
    async (context) => {
      const ranks = await start(context);
      const count = 150;
      await Promise.all(
        ranks.map(async (rank) => {
          const sending = (async () => {
            for (let number = 0; number < count; number += 1) {
              await rank.broadcast(Uint8Array.of(rank.rank, number, ...randomBytes(number)));
            }
          })();
          const summing = (async () => {
            for (let number = 0; number < 20; number += 1) {
              const buffer = new Float32Array(100).fill(rank.rank);
              await rank.allReduce(buffer);
              assert.equal(buffer[7], (size * (size - 1)) / 2);
            }
          })();
          const next = ranks.map(() => 0);
          for (let taken = 0; taken < count * (size - 1); taken += 1) {
            const { from, bytes } = await rank.nextBroadcast();
            assert.equal(bytes[0], from);
            assert.equal(bytes[1], next[from]);
            assert.equal(bytes.length, 2 + next[from]!);
            next[from]! += 1;
          }
          await Promise.all([sending, summing]);
        }),
      );
    },
  );

  test(
    `${size} ranks: operations that one rank asks for beside each other stay in their order`,
    LIMIT,
    async (context) => {
      const ranks = await start(context);
      await Promise.all(
        ranks.map(async (rank) => {
          const sums = Array.from({ length: 30 }, (_, number) => new Float32Array(number * 300).fill(number));
          await Promise.all(
            sums.map((sum, number) => (number % 7 === 3 ? rank.barrier() : rank.allReduce(sum))),
          );
          for (const [number, sum] of sums.entries()) {
            const expected = number % 7 === 3 ? number : number * size;
            assert.ok(sum.every((value) => value === expected));
          }
        }),
      );
    },
  );
}

function testFaults(startWorld: StartWorld): void {
  test('what a rank must not ask for is refused and ends nothing', LIMIT, async (context) => {
    const ranks = await startWorld(context, 4);
    const rank = ranks[1]!;
    const strangers = [0, 1, 2, 3, 4, -1, 1.5].filter((other) => !rank.neighbours.includes(other));
    for (const stranger of strangers) {
      await assert.rejects(rank.send(stranger, 0, []), { code: 'invalid_request' });
      await assert.rejects(rank.receive(stranger), { code: 'invalid_request' });
    }
    const to = rank.neighbours[0]!;
    await assert.rejects(rank.send(to, -1, []), { code: 'invalid_request' });
    await assert.rejects(rank.send(to, 2 ** 32, []), { code: 'invalid_request' });
    await assert.rejects(rank.send(to, 0, [Buffer.alloc(LIMITS.collectiveTensorBytes), Buffer.alloc(1)]), {
      code: 'invalid_request',
    });
    await assert.rejects(rank.broadcast(Buffer.alloc(LIMITS.collectiveControlBytes + 1)), {
      code: 'invalid_request',
    });
    await Promise.all(ranks.map((each) => each.barrier()));
  });

  test('R7: a rank that closes ends all operations of all others, which name it', LIMIT, async (context) => {
    for (const size of [2, 3, 5]) {
      const ranks = await startWorld(context, size);
      const leaving = ranks[1]!;
      const others = ranks.filter((rank) => rank !== leaving);
      const pending = others.flatMap((rank) => [
        ...rank.neighbours.map((from) => rank.receive(from, { deadlineMs: null })),
        rank.barrier({ deadlineMs: null }),
        rank.nextBroadcast(),
      ]);
      const checks = pending.map((operation) => assert.rejects(operation, isLost));
      await leaving.close();
      await Promise.all(checks);
      for (const rank of others) {
        await assert.rejects(rank.allReduce(new Float32Array(3)), isLost);
        await assert.rejects(rank.nextBroadcast(), isLost);
        assert.equal((await rank.ended)?.details?.rank, 1);
      }
      assert.equal(await leaving.ended, null);
      await assert.rejects(leaving.barrier(), { code: 'cancelled' });
    }
    function isLost(error: unknown): boolean {
      return error instanceof ShoalError && error.code === 'node_lost' && error.details?.rank === 1;
    }
  });

  test(
    'R7: a fault that one rank has found ends all of them, and names whom it says, or else that one',
    LIMIT,
    async (context) => {
      const found = { code: 'engine_error', message: 'no numbers' } as const;
      for (const [details, culprit] of [
        [undefined, 3],
        [{ rank: 1, node: 'node-1' }, 1],
      ] as const) {
        const ranks = await startWorld(context, 4);
        const pending = ranks.map((rank) => assert.rejects(rank.nextBroadcast(), { code: found.code }));
        ranks[3]!.fail({ ...found, ...(details && { details }) });
        await Promise.all(pending);
        for (const rank of ranks) {
          const fault = await rank.ended;
          assert.deepEqual(
            [fault?.code, fault?.details],
            ['engine_error', { rank: culprit, node: `node-${culprit}` }],
          );
          assert.match(fault?.message ?? '', /no numbers/);
        }
      }
    },
  );

  test('ranks that close after their last operation do not disturb one another', LIMIT, async (context) => {
    for (let round = 0; round < 10; round += 1) {
      const ranks = await startWorld(context, 4);
      const ends = ranks.map(async (rank) => {
        const sum = Float32Array.of(1);
        await rank.allReduce(sum);
        await rank.barrier();
        await rank.close();
        return [sum[0], await rank.ended];
      });
      for (const end of await Promise.all(ends)) assert.deepEqual(end, [4, null]);
    }
  });

  test('a rank that is late is named by all, and ends all', LIMIT, async (context) => {
    const lateIn = async (size: number) => {
      const ranks = await startWorld(context, size);
      const late = ranks.at(-1)!;
      await Promise.all(
        ranks
          .filter((rank) => rank !== late)
          .map((rank) =>
            assert.rejects(rank.allReduce(new Float32Array(10), { deadlineMs: 200 }), {
              code: 'deadline_exceeded',
              details: { rank: late.rank, node: `node-${late.rank}` },
            }),
          ),
      );
      assert.equal((await late.ended)?.details?.rank, late.rank);
    };
    await Promise.all([2, 3, 4, 5].map(lateIn));
  });

  test(
    'an operation that is given up ends the collective on all ranks, which name who gave up',
    LIMIT,
    async (context) => {
      for (const isAtOnce of [true, false]) {
        const ranks = await startWorld(context, 3);
        const controller = new AbortController();
        if (isAtOnce) controller.abort();
        const given = ranks[2]!.allReduce(new Float32Array(10), { signal: controller.signal });
        const others = [ranks[0]!.barrier(), ranks[1]!.receive(2)];
        const checks = [given, ...others].map((operation) =>
          assert.rejects(operation, { code: 'cancelled', details: { rank: 2, node: 'node-2' } }),
        );
        controller.abort();
        await Promise.all(checks);
      }
    },
  );

  test('ranks that are not in step find out, and end', LIMIT, async (context) => {
    const inStep = { deadlineMs: 20_000 };
    const otherLength = await startWorld(context, 3);
    const sums = otherLength.map((rank) =>
      rank.allReduce(new Float32Array(rank.rank === 1 ? 11 : 10), inStep),
    );
    await Promise.all(sums.map((sum) => assert.rejects(sum, { code: 'peer_protocol_error' })));
    const otherNumber = await startWorld(context, 2);
    await assert.rejects(
      Promise.all([otherNumber[0]!.send(1, 6, []), otherNumber[1]!.receive(0, { tag: 7 })]),
      (error: ShoalError) => error.code === 'peer_protocol_error' && error.details?.rank === 0,
    );
    const tooLong = await startWorld(context, 2);
    await assert.rejects(
      Promise.all([
        tooLong[0]!.send(1, 6, [Buffer.alloc(9)]),
        tooLong[1]!.receive(0, { into: Buffer.alloc(8) }),
      ]),
      (error: ShoalError) => error.code === 'peer_protocol_error' && error.details?.rank === 0,
    );
  });

  test(
    'a sender waits while nothing is taken, goes on when it is, and other messages pass it',
    LIMIT,
    async (context) => {
      const ranks = await startWorld(context, 2);
      const [from, to] = ranks as [Collective, Collective];
      const tensor = Buffer.alloc(LIMITS.collectiveTensorBytes / 4, 9);
      const count = 10;
      let sent = 0;
      const sending = (async () => {
        for (let tag = 0; tag < count; tag += 1) {
          await from.send(1, tag, [tensor]);
          sent += 1;
        }
      })();
      const fitting = Math.floor(LIMITS.collectiveWindowBytes / tensor.length) - 1;
      while (sent < fitting) await new Promise((resolve) => setImmediate(resolve));
      for (let round = 0; round < 50; round += 1) await Promise.all(ranks.map((rank) => rank.barrier()));
      assert.equal(sent, fitting);
      for (let tag = 0; tag < count; tag += 1) {
        const { bytes } = await to.receive(0, { tag });
        assert.ok(tensor.equals(bytes));
      }
      await sending;
    },
  );

  test('a sender whose tensors nobody takes ends with its deadline', LIMIT, async (context) => {
    const [from, to] = (await startWorld(context, 2)) as [Collective, Collective];
    const tensor = Buffer.alloc(LIMITS.collectiveTensorBytes);
    await from.send(1, 0, [tensor]);
    await assert.rejects(from.send(1, 1, [tensor], { deadlineMs: 200 }), {
      code: 'deadline_exceeded',
      details: { rank: 1, node: 'node-1' },
    });
    await assert.rejects(to.barrier(), { code: 'deadline_exceeded' });
  });
}

/** Numbers of very different size, so that the order of additions shows in the last bits. */
function drawFloats(length: number, seed: number): Float32Array {
  let state = (seed ^ 0x9e3779b9) >>> 0 || 1;
  return Float32Array.from({ length }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state | 0) * 2 ** -((state >>> 8) % 40);
  });
}

function copyOf(floats: Float32Array, isShared: boolean): Float32Array {
  const copy = isShared
    ? new Float32Array(new SharedArrayBuffer(floats.byteLength))
    : new Float32Array(floats.length);
  copy.set(floats);
  return copy;
}

function isSame(a: Float32Array, b: Float32Array): boolean {
  return Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(
    Buffer.from(b.buffer, b.byteOffset, b.byteLength),
  );
}
