import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAILPOINT_VARIABLE } from '../shared/failpoints.js';
import { runnerEnvironment } from './runnerEnvironment.js';

test('R50: a runner inherits the environment, but a failpoint only where they are allowed', () => {
  const own = { HOME: '/home/ann', [FAILPOINT_VARIABLE]: 'runner.die' };
  assert.equal(runnerEnvironment(null, own)[FAILPOINT_VARIABLE], undefined);
  assert.equal(runnerEnvironment('', own)[FAILPOINT_VARIABLE], '');
  assert.equal(runnerEnvironment('runner.exit0', own)[FAILPOINT_VARIABLE], 'runner.exit0');
  assert.equal(runnerEnvironment(null, own).HOME, '/home/ann');
});

test('large pages are asked for beside what the user asks of glibc, unless that says something about them', () => {
  const tunables = (own: string | undefined) =>
    runnerEnvironment(null, { GLIBC_TUNABLES: own }).GLIBC_TUNABLES;
  assert.equal(tunables(undefined), 'glibc.malloc.hugetlb=1');
  assert.equal(tunables('glibc.malloc.check=1'), 'glibc.malloc.check=1:glibc.malloc.hugetlb=1');
  assert.equal(tunables('glibc.malloc.hugetlb=0'), 'glibc.malloc.hugetlb=0');
});
