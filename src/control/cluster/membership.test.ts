import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { NodeId } from '../../shared/ids.js';
import { TIMES } from '../../shared/limits.js';
import { NODE, OTHER_NODE as PEER } from '../testing.js';
import { Membership } from './membership.js';
import type { Pulse } from './messages.js';
import { epoch, pulse } from './testing.js';

const THIRD = 'node-c' as NodeId;
const { suspectAfterMs, confirmDeathMs, pulseMs, tickMs } = TIMES;
/** An echo may be older than a word of the peer by the time between two of our own pulses. */
const echoAfterMs = suspectAfterMs + pulseMs;

function linked(...peers: NodeId[]): Membership {
  const membership = new Membership(NODE);
  for (const peer of peers) membership.linkOpened(peer, 1, 0);
  return membership;
}

/** The membership of a node that looks around with every tick until `now`, and what it then says of a peer. */
function statusAt(membership: Membership, nodeId: NodeId, from: number, now: number) {
  for (let at = from; at <= now; at += tickMs) membership.judge([nodeId], epoch(1), at);
  return membership.status(nodeId, now);
}

test('R56: a silent node is suspect, and dead within the time of confirmation', () => {
  fc.assert(
    fc.property(fc.nat(5_000), (heardAt) => {
      const membership = new Membership(NODE);
      membership.linkOpened(PEER, 1, heardAt);
      assert.equal(statusAt(membership, PEER, heardAt, heardAt + suspectAfterMs), 'alive');
      assert.equal(statusAt(membership, PEER, heardAt, heardAt + suspectAfterMs + tickMs), 'suspect');
      const deadAt = heardAt + suspectAfterMs + confirmDeathMs + tickMs;
      assert.equal(statusAt(membership, PEER, heardAt, deadAt), 'dead');
    }),
  );
});

test('R56: a closed link needs no silence: the node is suspect at once, and dead when nobody vouches', () => {
  const membership = linked(PEER);
  membership.linkClosed(PEER);
  assert.equal(membership.isHeard(PEER, 0), false);
  assert.equal(statusAt(membership, PEER, 0, 0), 'suspect');
  assert.equal(statusAt(membership, PEER, 0, confirmDeathMs - 1), 'suspect');
  assert.equal(statusAt(membership, PEER, 0, confirmDeathMs), 'dead');
});

test('a node that was never met is alive until it has been looked for', () => {
  const membership = linked();
  assert.equal(membership.status(PEER, 0), 'alive');
  assert.equal(statusAt(membership, PEER, 0, confirmDeathMs), 'dead');
  assert.equal(statusAt(membership, NODE, 0, confirmDeathMs), 'alive');
});

test('a link that works in one direction only is no link', () => {
  const membership = linked(PEER);
  const counter = membership.countPulse(0);
  assert.ok(membership.pulseReceived(PEER, pulse({ counter: 1, echo: counter }), 10));
  let now = 10;
  for (let next = 2; now < echoAfterMs; next += 1) {
    assert.ok(membership.isHeard(PEER, now));
    now += pulseMs;
    membership.countPulse(now);
    membership.pulseReceived(PEER, pulse({ counter: next, echo: counter }), now);
  }
  assert.equal(membership.isHeard(PEER, echoAfterMs), true);
  assert.equal(membership.isHeard(PEER, echoAfterMs + 1), false);
  const fresh = membership.countPulse(now);
  membership.pulseReceived(PEER, pulse({ counter: 99, echo: fresh }), now);
  assert.equal(membership.isHeard(PEER, now), true);
});

test('late, repeated and foreign pulses say nothing', () => {
  const membership = linked(PEER);
  assert.ok(membership.pulseReceived(PEER, pulse({ counter: 5, role: 'master' }), 1));
  const unheard: [NodeId, Pulse][] = [
    [PEER, pulse({ counter: 4 })],
    [PEER, pulse({ counter: 5 })],
    [PEER, pulse({ counter: 6, incarnation: 2 })],
    [THIRD, pulse()],
  ];
  for (const [from, said] of unheard) assert.equal(membership.pulseReceived(from, said, 900), false);
  assert.equal(membership.echoFor(PEER), 5);
  assert.equal(membership.isHeard(PEER, suspectAfterMs + 2), false);
  membership.linkClosed(PEER);
  assert.equal(membership.pulseReceived(PEER, pulse({ counter: 7 }), 2), false);
});

test('R56: a peer of the same reign vouches for a node; it is reached through the one with the smallest id', () => {
  const lost = 'node-z' as NodeId;
  const membership = linked(THIRD, PEER);
  for (const peer of [PEER, THIRD]) membership.pulseReceived(peer, pulse({ following: epoch(1, PEER) }), 1);
  assert.equal(membership.relayTo(lost, epoch(1, PEER), 1), PEER);
  assert.equal(membership.relayTo(lost, epoch(2, PEER), 1), null);
  assert.equal(membership.relayTo(lost, null, 1), null);
  const missing = pulse({ counter: 2, following: epoch(1, PEER), missing: [lost] });
  membership.pulseReceived(PEER, missing, 2);
  assert.equal(membership.relayTo(lost, epoch(1, PEER), 2), THIRD);
  membership.pulseReceived(THIRD, missing, 3);
  assert.equal(membership.relayTo(lost, epoch(1, PEER), 3), null);
});

test('R56: a master is vouched for by whoever hears its claim, and not by those who only follow it', () => {
  const membership = linked(PEER);
  membership.pulseReceived(PEER, pulse({ following: epoch(1, THIRD) }), 1);
  assert.equal(membership.relayTo(THIRD, epoch(1, THIRD), 1), null);
  const claims = [{ epoch: epoch(1, THIRD), members: 2, since: 0 }];
  membership.pulseReceived(PEER, pulse({ counter: 2, claims }), 2);
  assert.equal(membership.relayTo(THIRD, null, 2), PEER);
  assert.equal(membership.relayTo(THIRD, null, suspectAfterMs + 3), null);
});

test('R56: a node that paused blames nobody: time that it did not see does not count', () => {
  fc.assert(
    fc.property(fc.nat(3_000), fc.nat(3_000), fc.nat(1_000_000), (heardAt, seenAt, pausedMs) => {
      const now = heardAt + seenAt;
      const make = () => {
        const membership = new Membership(NODE);
        membership.linkOpened(PEER, 1, heardAt);
        statusAt(membership, PEER, heardAt, now);
        return membership;
      };
      const paused = make();
      paused.forgiveMs(pausedMs);
      assert.equal(paused.isHeard(PEER, now + pausedMs), make().isHeard(PEER, now));
      assert.equal(paused.status(PEER, now + pausedMs), make().status(PEER, now));
    }),
  );
});

test('a node that leaves is gone at once, and is there again with its next link', () => {
  const membership = linked(PEER);
  membership.pulseReceived(PEER, pulse({ role: 'leaving' }), 1);
  assert.equal(membership.isHeard(PEER, 1), false);
  assert.equal(statusAt(membership, PEER, 1, 1), 'dead');
  membership.linkOpened(PEER, 1, 2);
  assert.equal(statusAt(membership, PEER, 2, 2), 'alive');
});

test('a node in a new life counts its pulses anew, and late ones of the old life say nothing', () => {
  const membership = linked(PEER);
  membership.pulseReceived(PEER, pulse({ counter: 50, role: 'master' }), 1);
  membership.linkClosed(PEER);
  membership.linkOpened(PEER, 2, 10);
  assert.ok(membership.isHeard(PEER, 10));
  assert.deepEqual(membership.heardPulses(10), []);
  assert.equal(membership.pulseReceived(PEER, pulse({ counter: 51 }), 11), false);
  assert.ok(membership.pulseReceived(PEER, pulse({ incarnation: 2, counter: 1 }), 12));
  assert.equal(membership.echoFor(PEER), 1);
});

test('a new link to the same life keeps what was said over the old one', () => {
  const membership = linked(PEER);
  membership.pulseReceived(PEER, pulse({ counter: 50 }), 1);
  membership.linkClosed(PEER);
  membership.linkOpened(PEER, 1, 10);
  assert.equal(membership.echoFor(PEER), 50);
  assert.equal(membership.pulseReceived(PEER, pulse({ counter: 50 }), 11), false);
});

test('a node is forgotten when it has no link', () => {
  const membership = linked(PEER);
  membership.pulseReceived(PEER, pulse({ counter: 7 }), 1);
  membership.forget(PEER);
  assert.equal(membership.echoFor(PEER), 7);
  membership.linkClosed(PEER);
  membership.forget(PEER);
  assert.equal(membership.echoFor(PEER), 0);
  assert.equal(membership.status(PEER, 10_000), 'alive');
});

/** A reign of none of the nodes that talk, so that each is vouched for in the same way. */
const REIGN = epoch(1, 'node-m' as NodeId);

/** Some nodes of one reign that pulse to each other; each message takes as long as `delayOf` says, or never comes. */
class Chatter {
  readonly #nodes = new Map<NodeId, { readonly membership: Membership; readonly phase: number }>();
  readonly #delayOf: (from: NodeId, to: NodeId, now: number) => number | null;
  readonly #underway: { at: number; from: NodeId; to: NodeId; pulse: Pulse }[] = [];
  #now = 0;

  constructor(nodeIds: readonly NodeId[], delayOf: (from: NodeId, to: NodeId, now: number) => number | null) {
    this.#delayOf = delayOf;
    for (const [i, nodeId] of nodeIds.entries()) {
      const membership = new Membership(nodeId);
      for (const peer of nodeIds) if (peer !== nodeId) membership.linkOpened(peer, 1, 0);
      this.#nodes.set(nodeId, { membership, phase: 70 * i });
    }
  }

  status(of: NodeId, by: NodeId) {
    return this.#nodes.get(by)?.membership.status(of, this.#now);
  }

  /** Calls back after each look that all nodes take around. */
  run(untilMs: number, afterLook: (now: number) => void): void {
    for (; this.#now < untilMs; this.#now += 10) {
      this.#deliver();
      for (const [nodeId, { membership, phase }] of this.#nodes) {
        if (this.#now % tickMs === 0) membership.judge(this.#nodes.keys(), REIGN, this.#now);
        if (this.#now % pulseMs === phase % pulseMs) this.#pulse(nodeId, membership);
      }
      if (this.#now % tickMs === 0) afterLook(this.#now);
    }
  }

  #pulse(from: NodeId, membership: Membership): void {
    const others = [...this.#nodes.keys()].filter((nodeId) => nodeId !== from);
    const missing = others.filter((nodeId) => !membership.isHeard(nodeId, this.#now));
    const said = pulse({ counter: membership.countPulse(this.#now), following: REIGN, missing });
    for (const to of others) {
      const delay = this.#delayOf(from, to, this.#now);
      if (delay === null) continue;
      this.#underway.push({
        at: this.#now + delay,
        from,
        to,
        pulse: { ...said, echo: membership.echoFor(to) },
      });
    }
  }

  #deliver(): void {
    const due = this.#underway.filter(({ at }) => at <= this.#now).sort((a, b) => a.at - b.at);
    for (const message of due) {
      this.#underway.splice(this.#underway.indexOf(message), 1);
      this.#nodes.get(message.to)?.membership.pulseReceived(message.from, message.pulse, this.#now);
    }
  }
}

const anyDelays = (maxMs: number) => fc.array(fc.nat(maxMs), { minLength: 1, maxLength: 50 });
const inTurn = (delays: readonly number[]) => {
  let next = 0;
  return () => delays[next++ % delays.length] ?? 0;
};

test('R56: nodes that hear each other within the limit never suspect each other, however late and disordered', () => {
  fc.assert(
    fc.property(anyDelays(300), (delays) => {
      const chatter = new Chatter([NODE, PEER], inTurn(delays));
      chatter.run(6_000, () => {
        assert.equal(chatter.status(PEER, NODE), 'alive');
        assert.equal(chatter.status(NODE, PEER), 'alive');
      });
    }),
    { numRuns: 50 },
  );
});

test('R56: every other node has a dead one for dead within 3 s, with nobody vouching for it in a circle', () => {
  fc.assert(
    fc.property(anyDelays(200), fc.integer({ min: 0, max: 2_000 }), (delays, diesAt) => {
      const delay = inTurn(delays);
      const chatter = new Chatter([NODE, PEER, THIRD], (from, to, now) =>
        [from, to].includes(THIRD) && now >= diesAt ? null : delay(),
      );
      chatter.run(diesAt + 3_000, (now) => {
        assert.equal(chatter.status(PEER, NODE), 'alive');
        if (now < diesAt + suspectAfterMs + confirmDeathMs - pulseMs) {
          assert.notEqual(chatter.status(THIRD, NODE), 'dead');
        }
      });
      assert.equal(chatter.status(THIRD, NODE), 'dead');
      assert.equal(chatter.status(THIRD, PEER), 'dead');
    }),
    { numRuns: 50 },
  );
});

test('R56: two nodes that lose their link, or one direction of it, stay alive through a third', () => {
  for (const ways of [
    [[NODE, PEER]],
    [
      [NODE, PEER],
      [PEER, NODE],
    ],
  ]) {
    const isCut = (a: NodeId, b: NodeId) => ways.some(([from, to]) => from === a && to === b);
    const chatter = new Chatter([NODE, PEER, THIRD], (from, to, now) =>
      now >= 1_000 && isCut(from, to) ? null : 20,
    );
    chatter.run(6_000, () => {
      for (const [of, by] of [
        [PEER, NODE],
        [NODE, PEER],
        [THIRD, NODE],
      ] as const) {
        assert.equal(chatter.status(of, by), 'alive');
      }
    });
  }
});

test('R56: a dead node that is linked again is alive at once, also to whoever looks before the next tick', () => {
  const membership = linked(PEER);
  membership.linkClosed(PEER);
  assert.equal(statusAt(membership, PEER, 0, confirmDeathMs), 'dead');
  membership.linkOpened(PEER, 2, confirmDeathMs + 1);
  assert.equal(membership.status(PEER, confirmDeathMs + 1), 'alive');
});
