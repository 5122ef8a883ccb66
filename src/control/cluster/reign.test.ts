import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { NodeId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { anyEvent } from '../arbitraries.js';
import { instanceCreated, nodeJoined, OTHER_NODE as PEER } from '../testing.js';
import { ControlLog } from './controlLog.js';
import type { PeerMessage } from './messages.js';
import { ORIGIN } from './position.js';
import { Reign } from './reign.js';
import { epoch, logOf } from './testing.js';

const THIRD = 'node-c' as NodeId;
const DONE = { kind: 'Done' } as const;
const at = (index: number, term = 1) => ({ index, epoch: epoch(term) });

/** A reign with two followers, and an answer that rests on the third entry. */
function setUp() {
  const reign = new Reign(epoch(1), 0);
  const log = logOf([1, 1, 1].map((term) => [term, nodeJoined()]));
  for (const nodeId of [PEER, THIRD]) reign.catchUp(nodeId, ORIGIN, log);
  reign.wait({ from: PEER, key: 'k', answer: DONE, index: 3 }, 0);
  return { reign, log };
}

const settled = (reign: Reign, now = 0) => reign.takeSettled(now).map(({ key }) => key);

test('an answer waits until the disk and every follower have what it rests on', () => {
  const { reign } = setUp();
  reign.flushed(3);
  reign.acknowledged(PEER, at(3));
  assert.deepEqual(settled(reign), []);
  reign.acknowledged(THIRD, at(2));
  assert.deepEqual(settled(reign), []);
  reign.acknowledged(THIRD, at(3));
  assert.deepEqual(settled(reign), ['k']);
  assert.deepEqual(settled(reign), []);
});

test('R57, R58: a follower that missed more than one message carries gets the state instead', () => {
  const log = logOf([1, 1, 1].map((term) => [term, nodeJoined()]));
  const reign = new Reign(epoch(1), 0);
  const kindOf = () => reign.catchUp(PEER, at(3), log).kind;
  const add = (count: number) => {
    for (let entry = 0; entry < count; entry += 1) log.append(epoch(1), nodeJoined());
  };
  add(LIMITS.appendEntries);
  assert.equal(kindOf(), 'Append');
  add(1);
  assert.equal(kindOf(), 'Install');
  add(LIMITS.appendEntries + 1);
  assert.deepEqual(
    [...reign.news(log)].map(([, { kind }]) => kind),
    ['Install'],
  );
});

test('a late acknowledgement takes nothing back, and one of before the reign says nothing', () => {
  const { reign } = setUp();
  reign.flushed(5);
  reign.flushed(2);
  reign.acknowledged(THIRD, at(3));
  reign.acknowledged(THIRD, at(1));
  reign.acknowledged(PEER, at(9, 0));
  assert.deepEqual(settled(reign), []);
  reign.acknowledged('stranger' as NodeId, at(3));
  reign.acknowledged(PEER, at(3));
  assert.deepEqual(settled(reign), ['k']);
});

test('a follower that is lost holds nothing up; one that comes back has to say anew what it has', () => {
  const { reign, log } = setUp();
  reign.flushed(3);
  reign.acknowledged(PEER, at(3));
  reign.catchUp(PEER, at(3), log);
  reign.remove(THIRD);
  assert.deepEqual(settled(reign), []);
  reign.remove(PEER);
  assert.deepEqual(settled(reign), ['k']);
});

test('R1: no answer waits longer than its time, whoever is silent', () => {
  const { reign } = setUp();
  assert.deepEqual(settled(reign, TIMES.replicationWaitMs - 1), []);
  assert.ok(reign.isWaiting('k'));
  assert.deepEqual(settled(reign, TIMES.replicationWaitMs), ['k']);
  assert.equal(reign.isWaiting('k'), false);
});

test('a node alone answers when its disk has it', () => {
  const reign = new Reign(epoch(1), 0);
  reign.wait({ from: PEER, key: 'k', answer: DONE, index: 1 }, 0);
  assert.deepEqual(settled(reign), []);
  reign.flushed(1);
  assert.deepEqual(settled(reign), ['k']);
});

test('members are the followers and the master, and the reign goes on in a later epoch with them', () => {
  const { reign } = setUp();
  assert.equal(reign.members, 3);
  reign.remove(THIRD);
  reign.renew(epoch(4));
  assert.equal(reign.members, 2);
  assert.deepEqual([...reign.followers], [PEER]);
  assert.ok(reign.isFollowedBy(PEER));
  assert.deepEqual(reign.epoch, epoch(4));
  reign.flushed(3);
  reign.acknowledged(PEER, at(3));
  assert.deepEqual(settled(reign), ['k']);
});

test('what is new is sent to each follower once, and is to be acknowledged when an answer waits for it', () => {
  const { reign, log } = setUp();
  assert.deepEqual([...reign.news(log)], []);
  const entry = log.append(epoch(1), instanceCreated('a'));
  const previous = at(3);
  const message = { kind: 'Append', epoch: epoch(1), previous, entries: [entry], acknowledge: true };
  assert.deepEqual(
    [...reign.news(log)],
    [
      [PEER, message],
      [THIRD, message],
    ],
  );
  assert.deepEqual([...reign.news(log)], []);
  reign.takeSettled(TIMES.replicationWaitMs);
  log.append(epoch(1), instanceCreated('b'));
  for (const [, said] of reign.news(log)) assert.ok(said.kind === 'Append' && !said.acknowledge);
});

test('a newcomer whose log is a beginning of ours gets the rest, any other the state', () => {
  const { reign, log } = setUp();
  const rest = reign.catchUp(PEER, at(1), log);
  assert.ok(rest.kind === 'Append' && rest.entries.length === 2 && rest.acknowledge);
  assert.equal(reign.catchUp(PEER, at(1, 7), log).kind, 'Install');
  assert.equal(reign.catchUp(PEER, at(4), log).kind, 'Install');
});

test('R58: a follower that asks for what it missed has the log of the master, whatever was lost or came twice', () => {
  type Step = { readonly event: Parameters<ControlLog['append']>[1]; readonly fate: string };
  const anyStep: fc.Arbitrary<Step> = fc.record({
    event: anyEvent,
    fate: fc.constantFrom('arrives', 'is lost', 'comes twice', 'comes late'),
  });
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 20 }), fc.boolean(), (steps, isStranger) => {
      const master = new ControlLog();
      const reign = new Reign(epoch(2), 0);
      const follower = isStranger ? logOf([[1, instanceCreated('b')]]) : new ControlLog();
      const late: PeerMessage[] = [];
      const receive = (message: PeerMessage): boolean => {
        if (message.kind === 'Install') follower.install(message.snapshot);
        if (message.kind !== 'Append') return true;
        return follower.accept(message.previous, message.entries, () => undefined) === 'accepted';
      };
      const catchUp = () => assert.ok(receive(reign.catchUp(PEER, follower.position, master)));
      master.append(epoch(2), nodeJoined());
      catchUp();
      for (const { event, fate } of steps) {
        master.append(epoch(2), event);
        for (const [, message] of reign.news(master)) {
          if (fate === 'comes late') late.push(message);
          if (fate === 'arrives' || fate === 'comes twice') if (!receive(message)) catchUp();
          if (fate === 'comes twice') receive(message);
        }
      }
      for (const message of late) receive(message);
      catchUp();
      assert.deepEqual(follower.state, master.state);
      assert.deepEqual(follower.position, master.position);
    }),
  );
});
