import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { NodeId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { formatAddress, type HostAndPort } from './addresses.js';
import { Dialler, type DialOutcome } from './dialler.js';

const NOBODY: DialOutcome = { nodeId: null, isSelf: false };

/** A dialler on a clock of the test's own, that writes down when it dials where. */
function setUp(context: TestContext, answer: (address: string) => DialOutcome = () => NOBODY) {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const linked = new Set<NodeId>();
  const dialled: { readonly address: string; readonly atMs: number }[] = [];
  let nowMs = 0;
  const dialler = new Dialler({
    connect: async (target: HostAndPort) => {
      const address = formatAddress(target);
      dialled.push({ address, atMs: nowMs });
      const outcome = answer(address);
      if (outcome.nodeId !== null) linked.add(outcome.nodeId);
      return outcome;
    },
    isLinked: (nodeId) => linked.has(nodeId),
    random: () => 1,
  });
  context.after(() => dialler.close());
  const pass = async (durationMs: number) => {
    for (const endsAt = nowMs + durationMs; nowMs < endsAt; nowMs += 50) {
      context.mock.timers.tick(50);
      for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
    }
  };
  return { dialler, dialled, linked, pass };
}

const at = (port: number): HostAndPort => ({ host: 'host', port });

test('R54: an address is dialled at once, then after growing pauses up to a bound', async (context) => {
  const { dialler, dialled, pass } = setUp(context);
  dialler.dial(at(1), true);
  await pass(60_000);
  const times = dialled.map(({ atMs }) => atMs);
  const pauses = times.slice(1).map((time, index) => time - times[index]!);
  assert.deepEqual(pauses.slice(0, 6), [250, 500, 1_000, 2_000, 4_000, TIMES.dialLongestPauseMs]);
  assert.ok(pauses.every((pause) => pause <= TIMES.dialLongestPauseMs));
  assert.ok(times.at(-1)! > 50_000);
});

test('an address that never worked is forgotten, unless a person gave it; so is the node itself', async (context) => {
  const { dialler, dialled, pass } = setUp(context, (address) => ({
    nodeId: null,
    isSelf: address === 'host:3',
  }));
  dialler.dial(at(1), false);
  dialler.dial(at(2), true);
  dialler.dial(at(3), false);
  await pass(120_000);
  const count = (address: string) => dialled.filter((attempt) => attempt.address === address).length;
  assert.equal(count('host:1'), LIMITS.dialAttempts);
  assert.ok(count('host:2') > LIMITS.dialAttempts);
  assert.equal(count('host:3'), 1);
  assert.equal(dialler.addressCount, 1);
});

test('R54: a linked node is not dialled; when its link is lost it is, at once and at each address in turn', async (context) => {
  const nodeId = 'node' as NodeId;
  let isThere = true;
  const { dialler, dialled, linked, pass } = setUp(context, () =>
    isThere ? { nodeId, isSelf: false } : NOBODY,
  );
  dialler.dial(at(1), false);
  await pass(100);
  dialler.dial(at(2), false);
  dialler.learn(at(2), nodeId);
  await pass(10_000);
  assert.equal(dialled.length, 1);
  isThere = false;
  linked.clear();
  dialler.linkLost(nodeId);
  await pass(50);
  assert.equal(dialled.length, 2);
  await pass(600_000);
  assert.ok(dialled.length > 200);
  isThere = true;
  await pass(10_000);
  const count = dialled.length;
  await pass(10_000);
  assert.equal(dialled.length, count);
});

test('addresses are bounded, in all and for one node; those of people and of linked nodes stay', async (context) => {
  const nodeId = 'node' as NodeId;
  const { dialler, dialled, linked, pass } = setUp(context);
  linked.add(nodeId);
  for (let port = 1; port <= 2 * LIMITS.dialAddressesPerNode; port += 1) dialler.learn(at(port), nodeId);
  assert.equal(dialler.addressCount, LIMITS.dialAddressesPerNode);
  dialler.dial(at(40_000), true);
  for (let port = 1; port <= 2 * LIMITS.dialAddresses; port += 1)
    dialler.dial({ host: 'other', port }, false);
  assert.equal(dialler.addressCount, LIMITS.dialAddresses);
  await pass(300_000);
  assert.equal(dialler.addressCount, LIMITS.dialAddressesPerNode + 1);
  assert.ok(dialled.some(({ address, atMs }) => address === 'host:40000' && atMs > 290_000));
});
