/** What users want to run, from the command line: declared, tried again, taken back, and refused with reasons. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { REFUSED } from '../../src/api/testing/placements.js';
import { eventually, startTestApi, TEST_STATE, type TestApi } from '../../src/api/testing/testApi.js';
import { shoal } from './shoal.js';

const BOUND = { timeout: 60_000 };

/** What became of the wish that the test makes. */
const WISH = {
  meta_instance_id: 'm1',
  model_id: 'large',
  status: 'failed',
  consecutive_failures: 4,
  max_retries: 3,
  errors: [{ at: '2026-01-01T00:00:00.000Z', node_id: 'n1', message: 'desk: killed by SIGKILL' }],
  placement_error: null,
  next_attempt_at: null,
};

const OWNED = {
  instance_id: 'm1-1',
  meta_instance_id: 'm1',
  attempt: 1,
  model_id: 'large',
  status: 'starting',
  shards: [{ node_id: 'n1', runner_id: 'r1' }],
};

let api: TestApi;
beforeEach(async () => {
  api = await startTestApi();
  api.state = {
    ...TEST_STATE,
    node_id: 'n1',
    master_node_id: 'n1',
    nodes: {
      n1: { node_id: 'n1', name: 'desk', status: 'alive' },
      n2: { node_id: 'n2', name: 'old', status: 'dead' },
    },
    links: [],
    meta_instances: { m1: WISH },
    tasks: {},
  };
});
afterEach(() => api.close());

test('R28: a wish is tried again and taken back by its model or its id', BOUND, async () => {
  const retried = await shoal(['retry', 'large', '--url', api.url]);
  assert.deepEqual([retried.code, retried.stderr, api.commands.retried], [0, '', ['m1']]);
  assert.match(retried.stdout, /large is tried again/);
  const deleted = await shoal(['delete', 'm1', '--url', api.url]);
  assert.deepEqual([deleted.code, api.commands.takenBack], [0, ['m1']]);
  assert.match(deleted.stdout, /MetaInstance m1 of large is taken back/);
});

test('R20: deploy declares a wish with nodes by name, and says what became of it', BOUND, async () => {
  const options =
    '--sharding Tensor --transport Mesh --min-nodes 2 --nodes desk,old --context 512 --sequences 4';
  const deployed = await shoal(['deploy', 'large', ...options.split(' '), '--url', api.url]);
  assert.deepEqual([deployed.code, deployed.stderr], [0, '']);
  assert.match(deployed.stdout, /^large is declared \(m1\): failed\.\n[\s\S]*shoal retry m1/);
  assert.deepEqual(api.commands.wishes.pop(), {
    modelId: 'large',
    sharding: 'Tensor',
    transport: 'Mesh',
    minNodes: 2,
    nodeIds: ['n1', 'n2'],
    requireRdma: false,
    contextTokens: 512,
    sequences: 4,
  });
  const json = await shoal(['deploy', 'large', '--json', '--url', api.url]);
  assert.deepEqual(JSON.parse(json.stdout), { meta_instance_id: 'm1', meta_instance: WISH });
  api.commands.wishes.pop();
});

test('R34: a wish that can never fit is 1, with what each node lacks; a wrong one is 2', BOUND, async () => {
  api.commands.placing = REFUSED;
  const refused = await shoal(['deploy', 'tiny', '--url', api.url]);
  api.commands.placing = null;
  assert.deepEqual([refused.code, refused.stdout], [1, '']);
  assert.match(
    refused.stderr,
    /^shoal: tiny needs 5\.0 GiB.*\(placement_impossible\)\n {2}desk: cannot hold even.*\n {2}Ask for what there is/,
  );
  const unknown = await shoal(['deploy', 'tiny', '--nodes', 'nowhere', '--url', api.url]);
  assert.deepEqual([unknown.code, unknown.stdout], [1, '']);
  assert.match(unknown.stderr, /there is no node "nowhere"/);
  for (const wrong of [
    ['--sharding', 'x'],
    ['--min-nodes', '0'],
    ['--nodes', 'desk,'],
    ['--context', 'long'],
  ]) {
    assert.equal((await shoal(['deploy', 'tiny', ...wrong, '--url', api.url])).code, 2, wrong.join(' '));
  }
});

test('deploy waits for a place, and says where it is', BOUND, async () => {
  const placed = {
    ...api.state,
    instances: { 'm1-1': OWNED },
    meta_instances: { m1: { ...WISH, status: 'starting' } },
  };
  api.state = { ...api.state, meta_instances: { m1: { ...WISH, status: 'placing', errors: [] } } };
  const deploying = shoal(['deploy', 'large', '--url', api.url]);
  await eventually(() => api.ended.some(({ route }) => route === '/state'));
  api.state = placed;
  assert.match((await deploying).stdout, /^large is declared \(m1\): starting on desk\.\n/);
});

test('deploy of what is taken back meanwhile says so', BOUND, async () => {
  api.state = { ...api.state, meta_instances: {} };
  const { code, stdout } = await shoal(['deploy', 'large', '--url', api.url]);
  assert.deepEqual([code, stdout], [0, 'large was taken back again.\n']);
});

test('the instance of a wish is deleted by its whole id alone, and comes again', BOUND, async () => {
  api.state = { ...api.state, instances: { 'm1-1': OWNED } };
  const one = await shoal(['delete', 'm1-1', '--url', api.url]);
  assert.deepEqual([one.code, api.commands.deleted, api.commands.takenBack], [0, ['m1-1'], []]);
  assert.match(
    one.stdout,
    /Instance m1-1 of large is deleted.*\nA new one is made: MetaInstance m1 wants it/,
  );
  await shoal(['delete', 'large', '--url', api.url]);
  assert.deepEqual([api.commands.deleted, api.commands.takenBack], [['m1-1'], ['m1']]);
});
