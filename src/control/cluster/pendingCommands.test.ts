import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { InstanceId } from '../../shared/ids.js';
import { TIMES } from '../../shared/limits.js';
import { NODE, OTHER_NODE } from '../testing.js';
import { type PendingCommand, PendingCommands } from './pendingCommands.js';
import { epoch } from './testing.js';

const waiting = (key: string, deadlineAt = 60_000): PendingCommand => ({
  key,
  command: { kind: 'DeleteInstance', instanceId: key as InstanceId },
  deadlineAt,
});

function setUp(...keys: string[]): PendingCommands {
  const pending = new PendingCommands();
  for (const key of keys) pending.add(waiting(key));
  return pending;
}

const sent = (pending: PendingCommands, now: number, master = epoch(1)) =>
  pending.toSend(master, now).map(({ key }) => key);

test('a command is sent once, and again when the master is silent', () => {
  const pending = setUp('a', 'b');
  assert.deepEqual(sent(pending, 0), ['a', 'b']);
  assert.deepEqual(sent(pending, TIMES.commandRetryMs - 1), []);
  assert.deepEqual(sent(pending, TIMES.commandRetryMs), ['a', 'b']);
  assert.deepEqual(sent(pending, TIMES.commandRetryMs + 1), []);
});

test('R57: a new master, or the same one in a later term, is asked at once', () => {
  const pending = setUp('a');
  for (const master of [epoch(1), epoch(2), epoch(2, OTHER_NODE), epoch(1, NODE)]) {
    assert.deepEqual(sent(pending, 0, master), ['a']);
    assert.deepEqual(sent(pending, 0, master), []);
  }
});

test('an answer takes its command out once; a late or strange answer finds none', () => {
  const pending = setUp('a');
  assert.equal(pending.take('a')?.key, 'a');
  assert.equal(pending.take('a'), null);
  assert.equal(pending.take('strange'), null);
  assert.deepEqual(sent(pending, 0), []);
});

test('R1: every command is answered or expires, and never both', () => {
  const anyCommand = fc.record({ deadlineAt: fc.nat(1_000), answeredAt: fc.nat(2_000) });
  fc.assert(
    fc.property(fc.array(anyCommand, { maxLength: 10 }), (commands) => {
      const pending = new PendingCommands();
      const ends: string[] = [];
      for (const [i, { deadlineAt }] of commands.entries()) pending.add(waiting(`${i}`, deadlineAt));
      for (let now = 0; now <= 2_000; now += 100) {
        for (const { key } of pending.takeExpired(now)) {
          assert.ok((commands[Number(key)]?.deadlineAt ?? 0) <= now);
          ends.push(key);
        }
        for (const [i, { answeredAt }] of commands.entries()) {
          if (answeredAt <= now && pending.take(`${i}`) !== null) ends.push(`${i}`);
        }
      }
      assert.deepEqual(ends.sort(), commands.map((_, i) => `${i}`).sort());
    }),
  );
});
