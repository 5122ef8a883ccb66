import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StateForm } from './stateForm.js';
import { describeState } from './statusText.js';

const GIB = 1024 ** 3;
const COLUMNS = 80;
const NOW = Date.parse('2026-01-01T00:00:00.000Z');

const node = (nodeId: string, name: string, status: string, more = {}) => ({
  node_id: nodeId,
  name,
  status,
  memory: { total_bytes: 32 * GIB, available_bytes: 12.5 * GIB },
  ...more,
});

const instance = (instanceId: string, modelId: string, status: string, nodeIds: readonly string[]) => ({
  instance_id: instanceId,
  meta_instance_id: null,
  attempt: 1,
  model_id: modelId,
  status,
  shards: nodeIds.map((nodeId, rank) => ({
    rank,
    world_size: nodeIds.length,
    node_id: nodeId,
    runner_id: `${instanceId}-${nodeId}`,
    start_layer: 4 * rank,
    end_layer: 4 * rank + 4,
  })),
});

const runner = (status: string, more = {}) => ({
  status,
  progress: null,
  restarts: 0,
  restart_at: null,
  load: { resident_bytes: 3 * GIB },
  ...more,
});

const EMPTY: StateForm = {
  node_id: 'desk-id-0123456789',
  master_node_id: 'desk-id-0123456789',
  nodes: { 'desk-id-0123456789': node('desk-id-0123456789', 'desk', 'alive') },
  links: [],
  instances: {},
  meta_instances: {},
  runners: {},
  tasks: {},
};

/** Three nodes, of which `old` died with a shard of a model. */
const THREE: StateForm = {
  ...EMPTY,
  master_node_id: 'laptop-id-01234567',
  nodes: {
    'old-id-0123456789': node('old-id-0123456789', 'old', 'dead', { memory: undefined }),
    'laptop-id-01234567': node('laptop-id-01234567', 'laptop', 'alive'),
    ...EMPTY.nodes,
  },
  links: [
    { from: 'laptop-id-01234567', to: 'desk-id-0123456789', rtt_us: 900 },
    { from: 'desk-id-0123456789', to: 'laptop-id-01234567', rtt_us: 412 },
    { from: 'desk-id-0123456789', to: 'old-id-0123456789', rtt_us: 700 },
  ],
  instances: {
    'aaaaaaaa-1111': instance('aaaaaaaa-1111', 'shoal-guide', 'ready', ['desk-id-0123456789']),
    'bbbbbbbb-2222': instance('bbbbbbbb-2222', 'large', 'failing', [
      'laptop-id-01234567',
      'old-id-0123456789',
    ]),
  },
  runners: {
    'aaaaaaaa-1111-desk-id-0123456789': runner('running'),
    'bbbbbbbb-2222-laptop-id-01234567': runner('loading', { progress: 0.456 }),
    'bbbbbbbb-2222-old-id-0123456789': runner('ready'),
  },
  tasks: {
    t1: { status: 'running', instance_id: 'aaaaaaaa-1111' },
    t2: { status: 'complete', instance_id: 'aaaaaaaa-1111' },
  },
};

const lineWith = (text: string, part: string): string =>
  text.split('\n').find((line) => line.includes(part)) ?? assert.fail(`no line with ${part}:\n${text}`);

test('a lone node without models says what to do next', () => {
  const text = describeState(EMPTY, NOW);
  assert.match(
    text,
    /^NODE +STATUS +MEMORY FREE +LINK +ID\ndesk +alive, master +12\.5 GiB of 32\.0 GiB +this node +desk-id-\n/,
  );
  assert.match(text, /No model is being served. Start one with: shoal deploy MODEL/);
});

test('every node is shown with its part, memory and round trip, this one first, the dead one last', () => {
  const text = describeState(THREE, NOW);
  const names = text
    .split('\n\n')[0]
    ?.split('\n')
    .map((line) => line.split(' ')[0]);
  assert.deepEqual(names, ['NODE', 'desk', 'laptop', 'old']);
  assert.match(lineWith(text, 'laptop-i'), /alive, master .* 0\.41 ms/);
  assert.match(lineWith(text, 'old-id-0'), /^old +dead +none +old-id-0$/);
});

test('every shard of a model is shown on its node, with what counts for it', () => {
  const text = describeState(THREE, NOW);
  assert.match(lineWith(text, 'aaaaaaaa'), /^shoal-guide +running +desk +1 +3\.0 GiB +aaaaaaaa$/);
  const shards = text.split('\n').filter((line) => line.endsWith('bbbbbbbb'));
  assert.match(shards[0] ?? '', /^large 1\/2 +loading 46 % +laptop +0 /);
  assert.match(shards[1] ?? '', /^large 2\/2 +node is dead +old +0 +bbbbbbbb$/);
});

test('a dead node is told with what went with it, that it comes back, and how to drop it', () => {
  const text = describeState(THREE, NOW);
  assert.match(text, /Node old is dead:/);
  assert.match(text, /With it went: large\./);
  assert.match(text, /comes back by itself/);
  assert.match(text, /shoal forget old$/m);
  const odd = describeState(
    {
      ...THREE,
      nodes: { ...THREE.nodes, 'old-id-0123456789': node('old-id-0123456789', '"; rm -rf ~ #', 'dead') },
    },
    NOW,
  );
  assert.match(
    odd,
    /shoal forget old-id-0123456789$/m,
    'a name that a shell would read is not put into a command',
  );
  const twin = { ...THREE.nodes, twin: node('twin', 'old', 'alive') };
  assert.match(
    describeState({ ...THREE, nodes: twin }, NOW),
    /shoal forget old-id-0123456789$/m,
    'nor one of two',
  );
});

test('a suspect node, a missing master and a missing link are told', () => {
  const nodes = { ...THREE.nodes, 'laptop-id-01234567': node('laptop-id-01234567', 'laptop', 'suspect') };
  assert.match(describeState({ ...THREE, nodes }, NOW), /Node laptop does not answer just now/);
  assert.match(describeState({ ...THREE, master_node_id: null }, NOW), /No node leads the cluster/);
  assert.match(
    describeState({ ...THREE, master_node_id: 'old-id-0123456789' }, NOW),
    /No node leads the cluster/,
  );
  assert.doesNotMatch(describeState(THREE, NOW), /No node leads|no link with/);
  assert.match(
    describeState({ ...THREE, links: [] }, NOW),
    /Nodes laptop and desk have no link with each other/,
  );
});

test('links of nodes that do not tell theirs are not called missing', () => {
  const third = node('third-id', 'third', 'alive');
  const links = [...THREE.links, { from: 'desk-id-0123456789', to: 'third-id', rtt_us: null }];
  const state = { ...THREE, nodes: { ...THREE.nodes, 'third-id': third }, links };
  assert.match(describeState(state, NOW), /Nodes laptop and third have no link/);
  const silent = links.filter(({ from }) => from === 'desk-id-0123456789');
  assert.doesNotMatch(describeState({ ...state, links: silent }, NOW), /no link/);
  assert.match(lineWith(describeState(state, NOW), 'third-id'), /linked/);
});

test('failures of runners are told with what comes next and their last lines', () => {
  const failed = (more: object) => ({
    ...THREE,
    runners: {
      ...THREE.runners,
      'aaaaaaaa-1111-desk-id-0123456789': runner('failed', {
        error: { message: 'killed by SIGKILL', stderr_tail: ['a', 'b', 'c', 'd', 'e', 'last words'] },
        ...more,
      }),
    },
  });
  const again = describeState(failed({ restart_at: '2026-01-01T00:00:00.000Z' }), NOW);
  assert.match(again, /shoal-guide on desk: killed by SIGKILL\n {2}It is started again at 2026-01-01/);
  assert.match(again, / {4}last words$/m);
  assert.doesNotMatch(again, /^ {4}a$/m);
  assert.match(describeState(failed({}), NOW), /the limit of restarts is reached/);
  assert.match(describeState(failed({ status: 'ready' }), NOW), /Since then it is ready again/);
});

test('it fits into 80 columns, whatever the names are, and foreign names cannot steer the terminal', () => {
  const long = 'a-machine-with-a-very-long-name\u001b[2J\nand-a-second-line';
  const nodes = Object.fromEntries(
    Object.entries(THREE.nodes).map(([id, entry]) => [id, { ...entry, status: 'suspect', name: long }]),
  );
  const instances = Object.fromEntries(
    Object.entries(THREE.instances).map(([id, entry]) => [id, { ...entry, model_id: `owner/${long}` }]),
  );
  const runners = Object.fromEntries(
    Object.keys(THREE.runners).map((id) => [id, runner('warming_up', { progress: 0.999 })]),
  );
  const text = describeState({ ...THREE, nodes, instances, runners }, NOW);
  assert.ok(!text.includes('\u001b'));
  const tables = text.split('\n\n').slice(0, 2).join('\n').split('\n');
  assert.equal(tables.length, 8, 'a line for each node and each shard');
  for (const line of tables) assert.ok(line.length <= COLUMNS, `${line.length}: ${line}`);
  for (const line of describeState(THREE, NOW).split('\n'))
    assert.ok(line.length <= COLUMNS, `${line.length}: ${line}`);
});
