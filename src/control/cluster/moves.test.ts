import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERRORS, type ErrorCode, type Fault } from '../../shared/errors.js';
import type { InstanceId, TaskId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { attemptId, canEndByWaiting, type Moves, moved, refused, UNMOVED } from './moves.js';

const A = 'a' as InstanceId;
const fault = (code: ErrorCode): Fault => ({ code, message: 'it is gone' });

function after(moves: Moves, code: ErrorCode, isBegun = true): Moves | Fault {
  return moved(moves, { fault: fault(code), isBegun, instanceId: A }, 1_000);
}

test('R60: a request moves when its place is lost, and not when the request itself is at fault', () => {
  const movable = (Object.keys(ERRORS) as ErrorCode[]).filter((code) => !('code' in after(UNMOVED, code)));
  assert.deepEqual(movable.sort(), [
    'all_instances_failed',
    'no_instance',
    'node_lost',
    'not_ready',
    'peer_protocol_error',
    'queue_full',
    'runner_failed',
  ]);
  for (const code of movable) assert.ok(ERRORS[code].retryable, `${code} may succeed elsewhere`);
});

test('R60: what does not fit into one context moves where more may be had, and asks for more from then on', () => {
  const tooLong = { fault: fault('context_length_exceeded'), isBegun: false, instanceId: A };
  assert.equal(moved(UNMOVED, tooLong, 1_000), tooLong.fault);
  const moves = moved(UNMOVED, { ...tooLong, smallContext: 512 }, 1_000);
  assert.ok(!('code' in moves));
  assert.equal(moves.leastContext, 513);
  const later = after(moves, 'runner_failed');
  assert.equal(!('code' in later) && later.leastContext, 513);
  assert.ok('code' in moved(UNMOVED, { ...tooLong, fault: fault('engine_error'), smallContext: 512 }, 1_000));
});

test('R60: a request under which runners die is given up after a few; one that only waited there is not blamed', () => {
  let moves: Moves | Fault = UNMOVED;
  for (let death = 1; death < LIMITS.requestCrashes; death += 1) {
    moves = after(moves, 'runner_failed');
    assert.ok(!('code' in moves));
    moves = after(moves, 'runner_failed', false);
    assert.ok(!('code' in moves));
  }
  const end = after(moves, 'runner_failed');
  assert.ok('code' in end && end.code === 'runner_failed');
  assert.match(end.message, /it is gone; it is runner number 3 that died with this request/);
});

for (const isBegun of [true, false]) {
  test(`R60: moves are bounded, whatever the reason, from places that ${isBegun ? 'began' : 'never began'}`, () => {
    let moves: Moves | Fault = UNMOVED;
    for (let count = 1; count <= LIMITS.requestMoves; count += 1) {
      moves = after(moves, 'node_lost', isBegun);
      assert.ok(!('code' in moves) && moves.count === count);
    }
    const end = after(moves, 'node_lost', isBegun);
    assert.ok('code' in end && end.code === 'node_lost');
  });
}

test('R60: a place that was not there yet takes no move from an answer that goes on after it', () => {
  let moves: Moves | Fault = UNMOVED;
  for (let loss = 1; loss <= LIMITS.requestMoves; loss += 1) {
    moves = after(moves, 'not_ready');
    assert.ok(!('code' in moves));
    moves = after(moves, 'runner_failed', false);
    assert.ok(!('code' in moves) && moves.count === 2 * loss);
  }
  assert.ok('code' in after(moves, 'not_ready'));
});

test('R14, R60: each place of a request is a task of its own', () => {
  const ids = new Set<TaskId>();
  let moves: Moves = UNMOVED;
  for (let count = 0; count <= LIMITS.requestMoves; count += 1) {
    ids.add(attemptId('t' as TaskId, moves));
    const next = after(moves, 'node_lost');
    if (!('code' in next)) moves = next;
  }
  assert.equal(ids.size, LIMITS.requestMoves + 1);
});

test('R60: a request that finds no place asks less and less often, up to a bound', () => {
  const first = after(UNMOVED, 'node_lost');
  assert.ok(!('code' in first));
  assert.equal(first.askAt, 1_000, 'at once');
  assert.equal(first.avoid, A);
  const pauses: number[] = [];
  let moves: Moves = first;
  for (let asking = 0; asking < 12; asking += 1) {
    moves = refused(moves, 2_000);
    pauses.push((moves.askAt ?? 0) - 2_000);
  }
  assert.deepEqual(pauses.slice(0, 3), [250, 500, 1_000]);
  assert.equal(Math.max(...pauses), TIMES.moveLongestRetryMs);
});

test('R60: places that are gone before they begin are not tried one after the other in no time', () => {
  const pauses: number[] = [];
  let moves: Moves | Fault = UNMOVED;
  for (let count = 0; count < 5; count += 1) {
    moves = after(moves, 'runner_failed', false);
    assert.ok(!('code' in moves));
    pauses.push((moves.askAt ?? 0) - 1_000);
  }
  assert.deepEqual(pauses, [0, 250, 500, 1_000, 2_000]);
  const begun = after(moves, 'runner_failed', true);
  assert.ok(!('code' in begun) && begun.askAt === 1_000, 'one that was computed is moved at once');
});

test('R4, R16: a request that has not begun waits for a place, and not for an instance or for a shorter queue', () => {
  const waited = (Object.keys(ERRORS) as ErrorCode[]).filter((code) => canEndByWaiting(fault(code)));
  assert.deepEqual(waited.sort(), ['all_instances_failed', 'node_lost', 'not_ready']);
});
