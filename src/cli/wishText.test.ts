/** What a newcomer reads about what shall run: how far it is, why it is not served, and what to do. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeInstances } from './instances.js';
import type { InstanceForm, MetaInstanceForm, StateForm } from './stateForm.js';
import { describeState } from './statusText.js';
import { wishOutcome } from './wishText.js';

const COLUMNS = 80;
const NOW = Date.parse('2026-01-01T00:00:06.500Z');
const WISH_ID = 'aaaaaaaa-1111-2222-3333-444444444444';

function wish(more: Partial<MetaInstanceForm> = {}): MetaInstanceForm {
  return {
    meta_instance_id: WISH_ID,
    model_id: 'large',
    status: 'ready',
    consecutive_failures: 0,
    max_retries: 3,
    errors: [],
    placement_error: null,
    next_attempt_at: null,
    ...more,
  };
}

function instance(id: string, wishId: string | null, nodeIds: readonly string[]): InstanceForm {
  return {
    instance_id: id,
    meta_instance_id: wishId,
    attempt: 1,
    model_id: wishId === null ? 'plain' : 'large',
    status: 'ready',
    shards: nodeIds.map((nodeId, rank) => ({
      rank,
      world_size: nodeIds.length,
      node_id: nodeId,
      runner_id: `${id}-${nodeId}`,
      start_layer: 4 * rank,
      end_layer: 4 * rank + 4,
    })),
  };
}

function stateWith(wishes: readonly MetaInstanceForm[], instances: readonly InstanceForm[] = []): StateForm {
  const node = (nodeId: string, name: string) => ({ node_id: nodeId, name, status: 'alive' });
  return {
    node_id: 'n1',
    master_node_id: 'n1',
    nodes: { n1: node('n1', 'desk'), n2: node('n2', 'laptop') },
    links: [
      { from: 'n1', to: 'n2', rtt_us: 400 },
      { from: 'n2', to: 'n1', rtt_us: 400 },
    ],
    instances: Object.fromEntries(instances.map((entry) => [entry.instance_id, entry])),
    meta_instances: Object.fromEntries(wishes.map((entry) => [entry.meta_instance_id, entry])),
    runners: {},
    tasks: {},
  };
}

const NO_PLACE = wish({
  status: 'pending',
  next_attempt_at: '2026-01-01T00:00:04.000Z',
  placement_error: {
    message:
      'large with a context of 512 tokens needs 40.0 GiB of memory on one node, and the 2 nodes that can be used have 20.0 GiB free in all.',
    nodes: [
      { node_id: 'n1', name: 'desk', reason: 'can hold 11 of 32 layers: 12.0 GiB of 16.0 GiB are free' },
      { node_id: 'n2', name: 'laptop', reason: 'does not have the files of the model' },
    ],
  },
});

const FAILED = wish({
  status: 'failed',
  consecutive_failures: 4,
  errors: [1, 2, 3, 4].map((at) => ({
    at: `2026-01-01T00:00:0${at}.000Z`,
    node_id: at < 3 ? 'n1' : 'n2',
    message: `${at < 3 ? 'desk' : 'laptop'}: failure ${at}, killed by SIGKILL`,
  })),
});

function assertNarrow(text: string): void {
  for (const line of text.split('\n')) assert.ok(line.length <= COLUMNS, `${line.length}: ${line}`);
}

test('R28, R29: one that waits because it failed too often where there is room can be tried there again', () => {
  assert.doesNotMatch(describeState(stateWith([NO_PLACE]), NOW), /shoal retry/);
  const avoiding = { ...NO_PLACE, avoided_nodes: ['n1'] };
  assert.match(
    describeState(stateWith([avoiding]), NOW),
    /^ {2}To have it tried where it failed, too: shoal retry aaaaaaaa$/m,
  );
});

test('R29: one look says that nothing has room, what each node lacks, and how to take it back', () => {
  const text = describeState(stateWith([NO_PLACE]), NOW);
  assert.match(text, /^large +pending +aaaaaaaa$/m);
  assert.match(text, /large is waiting: there is no place for it\.\n {2}large with a context of 512 tokens/);
  assert.match(text, /^ {4}desk: can hold 11 of 32 layers: 12\.0 GiB of 16\.0 GiB are free$/m);
  assert.match(text, /^ {4}laptop: does not have the files of the model$/m);
  assert.match(text, /It starts by itself as soon as it fits.*\n {2}shoal delete aaaaaaaa$/m);
  assert.doesNotMatch(text, /No model is being served/);
  assertNarrow(text);
});

test('R28: what has failed is told with its newest errors, and how to try it again', () => {
  const text = describeState(stateWith([FAILED]), NOW);
  assert.match(text, /^large +failed +aaaaaaaa$/m);
  assert.match(text, /large failed too often and is not tried any more/);
  assert.match(text, /^ {4}2026-01-01T00:00:04\.000Z laptop: failure 4, killed by SIGKILL$/m);
  assert.doesNotMatch(text, /failure 1/);
  assert.match(text, /shoal retry aaaaaaaa$/m);
  assert.match(text, /shoal delete aaaaaaaa$/m);
  assertNarrow(text);
});

test('what is tried again says how often it failed, why, and when; what is served says nothing', () => {
  const retrying = wish({
    status: 'retrying',
    consecutive_failures: 2,
    errors: FAILED.errors.slice(0, 2),
    next_attempt_at: '2026-01-01T00:00:09.000Z',
  });
  const state = stateWith([retrying], [instance(`${WISH_ID}-1`, WISH_ID, ['n1'])]);
  const text = describeState(state, NOW);
  assert.match(
    text,
    /large is tried again: 2 failures in a row, the last one:\n {4}2026\S+ desk: failure 2,/,
  );
  assert.match(text, /Next attempt in 3 s \(2026-01-01T00:00:09\.000Z\)/);
  const served = { ...retrying, status: 'ready', placement_error: NO_PLACE.placement_error };
  assert.doesNotMatch(
    describeState({ ...state, meta_instances: { [WISH_ID]: served } }, NOW),
    /failure|waiting/,
  );
});

test('what waits for its lost node says so, and then that there is no other place', () => {
  const retrying = wish({ status: 'retrying' });
  const owned = instance(`${WISH_ID}-1`, WISH_ID, ['n2']);
  const state = stateWith([retrying], [owned]);
  const lost = { ...state, nodes: { ...state.nodes, n2: { ...state.nodes.n2!, status: 'dead' } } };
  const text = describeState(lost, NOW);
  assert.match(
    text,
    /^large is waiting: its node laptop is gone\.\n {2}It goes on when that is back\. If that/m,
  );
  assertNarrow(text);
  const nowhere = { ...retrying, placement_error: NO_PLACE.placement_error };
  const later = describeState({ ...lost, meta_instances: { [WISH_ID]: nowhere } }, NOW);
  assert.match(later, /large is waiting: its node laptop is gone, and there is no other place for it\.\n/);
});

test('what is served elsewhere by now is not said to be lost', () => {
  const owned = instance(`${WISH_ID}-1`, WISH_ID, ['n2']);
  const replacement = instance(`${WISH_ID}-2`, WISH_ID, ['n1']);
  const state = stateWith([wish()], [owned, replacement]);
  const lost = { ...state, nodes: { ...state.nodes, n2: { ...state.nodes.n2!, status: 'dead' } } };
  const text = describeState(lost, NOW);
  assert.match(text, /Node laptop is dead/);
  assert.doesNotMatch(text, /With it went|node is dead/);
  assert.match(describeInstances(lost, NOW), /^aaaaaaaa +large +ready +0\/3 +desk$/m);
});

test('a failure of a wish is told once, with the last lines of its runner', () => {
  const retrying = wish({
    status: 'retrying',
    consecutive_failures: 1,
    errors: FAILED.errors.slice(0, 1),
    next_attempt_at: '2026-01-01T00:00:06.000Z',
  });
  const state = stateWith([retrying], [instance(`${WISH_ID}-1`, WISH_ID, ['n1'])]);
  const error = { message: 'killed by SIGKILL', stderr_tail: ['out of luck'] };
  const runners = { [`${WISH_ID}-1-n1`]: { status: 'failed', restarts: 0, restart_at: null, error } };
  const text = describeState({ ...state, runners }, NOW);
  assert.equal(text.match(/SIGKILL/g)?.length, 1);
  assert.match(text, /Its last lines were:\n {4}out of luck\n {2}Next attempt now \(2026/);
});

test('a failed runner of a wish is not said to stay away', () => {
  const state = stateWith(
    [wish({ status: 'retrying' })],
    [instance(`${WISH_ID}-1`, WISH_ID, ['n1']), instance('p1', null, ['n2'])],
  );
  const failed = { status: 'failed', restarts: 0, restart_at: null, error: { message: 'killed' } };
  const runners = { [`${WISH_ID}-1-n1`]: failed, 'p1-n2': failed };
  const text = describeState({ ...state, runners }, NOW);
  assert.match(text, /large on desk: killed\n {2}It is started anew by itself/);
  assert.match(text, /plain on laptop: killed\n {2}It is not started again/);
});

test('wishes and plain instances stand in one list, each once, with retries and nodes', () => {
  const state = stateWith(
    [{ ...FAILED, meta_instance_id: 'bbbbbbbb-1', model_id: 'broken' }, wish({ consecutive_failures: 1 })],
    [
      // Twice a machine was lost under it.
      { ...instance(`${WISH_ID}-1`, WISH_ID, ['n1', 'n2']), attempt: 4 },
      instance('p1', null, ['n2']),
      instance('orphan', 'gone', ['n1']),
    ],
  );
  const [table = '', ...problems] = describeInstances(state, NOW).split('\n\n');
  const lines = table.split('\n');
  assert.equal(lines.length, 5, table);
  assert.match(table, /^ID +MODEL +STATUS +RETRIES +NODES$/m);
  assert.match(table, /^aaaaaaaa +large +ready +1\/3 +desk, laptop$/m);
  assert.match(table, /^bbbbbbbb +broken +failed +3\/3$/m);
  assert.match(table, /^p1 +plain +ready +laptop$/m);
  assert.match(table, /^orphan +large +ready +desk$/m);
  assert.match(problems.join('\n'), /broken failed too often[\s\S]*shoal retry bbbbbbbb/);
  assert.match(
    describeInstances(stateWith([]), NOW),
    /There is no instance. Start one with: shoal deploy MODEL/,
  );
});

test('ids that begin alike are shown whole, so that each names one', () => {
  const twin = wish({ meta_instance_id: 'aaaaaaaa-9999', model_id: 'twin', status: 'pending' });
  const text = describeInstances(stateWith([wish(), twin]), NOW);
  assert.match(text, new RegExp(`^${WISH_ID} +large`, 'm'));
  assert.match(text, /^aaaaaaaa-9999 +twin/m);
});

test('what became of a new wish is told with its id, nodes, and what to do', () => {
  const placed = wish({ status: 'starting' });
  const state = stateWith([placed], [instance(`${WISH_ID}-1`, WISH_ID, ['n1', 'n2'])]);
  assert.equal(
    wishOutcome(state, placed, NOW),
    `large is declared (${WISH_ID}): starting on desk, laptop.\n` +
      'How far it is: shoal status. To take it back: shoal delete aaaaaaaa',
  );
  assert.match(wishOutcome(stateWith([NO_PLACE]), NO_PLACE, NOW), /: pending\.\nlarge is waiting/);
});

test('foreign names and reasons cannot steer the terminal, nor look like lines of their own', () => {
  const evil = 'x\u001b[2J\nshoal delete everything';
  const problem = { message: evil, nodes: [{ node_id: 'n1', name: evil, reason: evil }] };
  const wishes = [
    wish({ status: 'pending', model_id: evil, placement_error: problem }),
    { ...FAILED, meta_instance_id: 'bbbbbbbb-1', errors: [{ at: 'now', message: evil }] },
  ];
  for (const text of [describeState(stateWith(wishes), NOW), describeInstances(stateWith(wishes), NOW)]) {
    assert.ok(!text.includes('\u001b'));
    assert.doesNotMatch(text, /^\s*shoal delete everything/m);
  }
});

test('a model over several nodes shows each part: its rank, its layers and how far its node is', () => {
  const state = stateWith([wish()], [instance('i1', WISH_ID, ['n1', 'n2'])]);
  const listed = describeInstances(state, NOW);
  assert.match(
    listed,
    /large is divided:\n {2}desk: layers 0 to 3, starting\n {2}laptop: layers 4 to 7, starting/,
  );
  const shown = describeState(state, NOW);
  assert.match(shown, /large 1\/2 +starting +desk/);
  assert.match(shown, /large 2\/2 +starting +laptop/);
});
