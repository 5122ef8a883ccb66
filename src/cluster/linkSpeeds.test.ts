import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { NodeId } from '../shared/ids.js';
import { TIMES } from '../shared/limits.js';
import { Calls } from './calls/calls.js';
import { until } from './calls/testing/until.js';
import { type MemoryLinks, MemoryNetwork } from './link/testing/memoryLinks.js';
import { LinkSpeeds } from './linkSpeeds.js';
import { NodeKey } from './nodeKey.js';

const BOUND = { timeout: 60_000 };
const LOOK_MS = 5;
const someLooks = () => new Promise((resolve) => setTimeout(resolve, 10 * LOOK_MS));

/** A node with links in memory, whose idleness and clock a test sets. */
class Node {
  readonly links: MemoryLinks;
  readonly speeds: LinkSpeeds;
  readonly bursts: number[] = [];
  onBurst: () => void = () => undefined;
  readonly #calls: Calls;
  isIdle = true;
  aheadMs = 0;

  constructor(network: MemoryNetwork) {
    this.links = network.join({ key: NodeKey.make() });
    this.links.listen({ opened: () => undefined, closed: () => undefined, received: () => undefined });
    const calls = new Calls({ links: this.links, onBug: (_, error) => assert.ifError(error) });
    this.#calls = calls;
    this.speeds = new LinkSpeeds(
      {
        links: this.links,
        isIdle: () => this.isIdle,
        now: () => performance.now() + this.aheadMs,
        calls: {
          serve: (...parameters) => calls.serve(...parameters),
          call: (to, call, body, options) => {
            this.bursts.push(Buffer.isBuffer(body) ? body.length : 0);
            this.onBurst();
            return calls.call(to, call, body, options);
          },
        },
      },
      { lookMs: LOOK_MS },
    );
  }

  burstTo({ links: { nodeId } }: Node): Promise<unknown> {
    return this.#calls.call(nodeId, 'burst', Buffer.alloc(1));
  }

  speedTo({ links: { nodeId } }: Node): number | null {
    const peer = this.links.peers.get(nodeId);
    return peer === undefined ? null : this.speeds.of(peer);
  }

  async end(): Promise<void> {
    this.speeds.close();
    await this.links.close();
  }
}

async function pair(t: TestContext): Promise<[Node, Node]> {
  const network = new MemoryNetwork();
  const [one, two] = [new Node(network), new Node(network)];
  // Also when a test fails: a node that goes on would keep its process.
  t.after(() => Promise.all([one.end(), two.end()]));
  one.links.dial(two.links.address);
  await until('they are linked', () => one.links.peers.size + two.links.peers.size === 2);
  return [one, two];
}

test('R24: both ends measure a new link with a few bursts, each in its turn', BOUND, async (t) => {
  const [one, two] = await pair(t);
  one.speeds.start();
  await until('the one knows', () => one.speedTo(two) !== null);
  two.speeds.start();
  await until('the other knows', () => two.speedTo(one) !== null);
  for (const speed of [one.speedTo(two)!, two.speedTo(one)!]) assert.ok(speed > 0 && speed < 1e12);
  assert.equal(one.bursts[0], 0, 'what a call takes by itself is measured first');
  assert.ok(one.bursts.every((bytes, at) => at === 0 || bytes === 0 || bytes > one.bursts[at - 1]!));
  const sent = one.bursts.length;
  one.aheadMs += TIMES.linkSpeedAgeMs / 2;
  await someLooks();
  assert.equal(one.bursts.length, sent, 'it is not measured again soon');
  one.aheadMs += 2 * TIMES.linkSpeedAgeMs;
  await until('it is measured anew', () => one.bursts.length > sent);
});

test('R24: a busy node puts it off, for a while', BOUND, async (t) => {
  const [one, two] = await pair(t);
  one.isIdle = false;
  one.speeds.start();
  await someLooks();
  assert.deepEqual(one.bursts, []);
  one.aheadMs += TIMES.linkSpeedPatienceMs + 10 * LOOK_MS;
  await until('it is measured after all', () => one.speedTo(two) !== null);
});

test('R24: an end that is busy says so before a burst is sent to it, for a while', BOUND, async (t) => {
  const [one, two] = await pair(t);
  two.isIdle = false;
  one.speeds.start();
  await until('the other end is asked', () => one.bursts.length > 0);
  await someLooks();
  assert.deepEqual(one.bursts, [0]);
  one.aheadMs += 2 * TIMES.linkSpeedPatienceMs;
  await until('it is measured after all', () => one.speedTo(two) !== null);
});

test('R24: a burst that comes to an end while it sends one is told to come again', BOUND, async (t) => {
  const [one, two] = await pair(t);
  let answer: Promise<unknown> | null = null;
  two.onBurst = () => {
    answer ??= one.burstTo(two);
  };
  two.speeds.start();
  await until('both have sent', () => answer !== null);
  await assert.rejects(answer!, { code: 'queue_full' });
  await until('the first is measured', () => two.speedTo(one) !== null);
});

test(
  'R24: an end that is gone, or does not know the call, leaves the speed unknown and nothing broken',
  BOUND,
  async (t) => {
    const network = new MemoryNetwork();
    const one = new Node(network);
    const old = network.join({ key: NodeKey.make() });
    old.listen({ opened: () => undefined, closed: () => undefined, received: () => undefined });
    t.after(() => Promise.all([one.end(), old.close()]));
    one.links.dial(old.address);
    await until('they are linked', () => one.links.peers.size === 1);
    one.speeds.start();
    await until('it was tried', () => one.bursts.length > 0);
    const peer = one.links.peers.get(old.nodeId as NodeId)!;
    await someLooks();
    assert.equal(one.speeds.of(peer), null);
    assert.equal(one.links.peers.size, 1);
  },
);
