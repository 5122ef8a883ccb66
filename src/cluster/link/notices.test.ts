import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { Notices } from './notices.js';

test('a subject is spoken of once in a while, and strangers from everywhere fill no log', () => {
  let now = 0;
  const said: string[] = [];
  const notices = new Notices(
    (_level, message) => said.push(message),
    () => now,
  );
  for (let time = 0; time < 10; time += 1) notices.sayOnce('a', 'warn', 'first', {});
  assert.deepEqual(said, ['first']);
  now += TIMES.noticeRepeatMs;
  notices.sayOnce('a', 'warn', 'second', {});
  assert.deepEqual(said, ['first', 'second']);
  for (let number = 0; number < 10_000; number += 1)
    notices.sayOnce(`from ${number}`, 'warn', 'stranger', {});
  assert.ok(said.length <= LIMITS.linkNotices + 2);
  now += TIMES.noticeRepeatMs;
  notices.sayOnce('a', 'warn', 'third', {});
  assert.equal(said.at(-1), 'third');
});
