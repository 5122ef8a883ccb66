/** What the page says about models that should run: what fits, what is sent, why something is not served. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError } from './api.js';
import { HUES, hueOf, type ModelEntry, modelEntries, pipelinePaths } from './clusterView.js';
import { entryStory, problems } from './entryStory.js';
import { arcsOf } from './graphLayout.js';
import { type ModelEntryJson, modelChoices } from './modelChoices.js';
import { circumstancesOf, idleRows, nodeRows, readRefusal } from './placementView.js';
import { type PageState, readState } from './wire.js';
import { EMPTY_FORM, toggleNode, wishBody, wishQuery } from './wishForm.js';

const GIB = 2 ** 30;
const NOW = Date.parse('2026-01-01T00:00:00Z');
const soon = '2026-01-01T00:00:04Z';

const node = (id: string, gib: number, more: object = {}) => ({
  node_id: id,
  name: `name-${id}`,
  status: 'alive',
  incarnation: 1,
  addresses: [],
  memory_bytes: gib * GIB,
  models: ['small'],
  ...more,
});

const shard = (nodeId: string, rank: number, of: number) => ({
  rank,
  world_size: of,
  node_id: nodeId,
  runner_id: `r${rank}`,
  start_layer: rank * 4,
  end_layer: rank * 4 + 4,
  memory_bytes: 6 * GIB,
});

const runner = (rank: number, status: string, more: object = {}) => ({
  runner_id: `r${rank}`,
  instance_id: 'i',
  node_id: rank === 0 ? 'a' : 'b',
  rank,
  pid: 1,
  restarts: 0,
  restart_at: null,
  status,
  ...more,
});

const error = (message: string) => ({ at: '2026-01-01T00:00:00Z', node_id: 'b', message });

interface Case {
  readonly wish?: object;
  readonly instance?: object | null;
  readonly runners?: readonly object[];
  readonly nodes?: Readonly<Record<string, object>>;
}

function state({ wish, instance = {}, runners = [], nodes = {} }: Case = {}): PageState {
  const read = readState({
    index: 1,
    node_id: 'a',
    nodes: { a: node('a', 8), b: node('b', 10), ...nodes },
    instances:
      instance === null
        ? {}
        : {
            i: {
              instance_id: 'i',
              meta_instance_id: wish === undefined ? null : 'm',
              model_id: 'big',
              attempt: 1,
              status: 'starting',
              failure: null,
              shards: [shard('a', 0, 2), shard('b', 1, 2)],
              ...instance,
            },
          },
    runners: Object.fromEntries(runners.map((one) => [(one as { runner_id: string }).runner_id, one])),
    meta_instances:
      wish === undefined
        ? {}
        : {
            m: {
              meta_instance_id: 'm',
              model_id: 'big',
              consecutive_failures: 0,
              max_retries: 3,
              errors: [],
              avoided_nodes: [],
              placement_error: null,
              next_attempt_at: null,
              min_nodes: null,
              node_ids: null,
              ...wish,
            },
          },
  });
  assert.ok(read !== null);
  return read;
}

function storyOf(one: Case) {
  const page = state(one);
  const [entry] = modelEntries(page) as [ModelEntry];
  return entryStory(page, entry, NOW);
}

test('R74: a wish that starts says what each machine is doing and how far it is', () => {
  const story = storyOf({
    wish: { status: 'starting' },
    runners: [runner(0, 'loading', { progress: 0.5 }), runner(1, 'connecting')],
  });
  assert.equal(story.headline, 'It starts: loading 50 % on name-a and connecting on name-b.');
  assert.ok(story.progress !== null && story.progress > 0.2 && story.progress < 0.5);
  assert.equal(story.retries, null);
  const ready = storyOf({
    wish: { status: 'ready' },
    instance: { status: 'ready' },
    runners: [runner(0, 'ready'), runner(1, 'running')],
  });
  assert.deepEqual([ready.tone, ready.headline], ['good', 'It answers requests, on name-a and name-b.']);
});

test('R74, R26: a wish that is retried says which retry of how many, when, and why', () => {
  const waiting = storyOf({
    wish: {
      status: 'retrying',
      consecutive_failures: 2,
      errors: [error('name-b: SIGABRT')],
      next_attempt_at: soon,
    },
    instance: { attempt: 2, failure: error('name-b: SIGABRT'), status: 'failing' },
  });
  assert.deepEqual(waiting.retries, { used: 2, most: 3 });
  assert.equal(waiting.headline, 'It failed: name-b: SIGABRT.');
  assert.match(waiting.advice ?? '', /^Retry 2 of 3 follows in 4\.0 s/);
  const last = storyOf({
    wish: { status: 'retrying', consecutive_failures: 3, errors: [error('x')] },
    instance: { attempt: 4, status: 'failing' },
    runners: [runner(0, 'stopping'), runner(1, 'failed')],
  });
  assert.deepEqual(last.retries, { used: 3, most: 3 });
  assert.match(last.advice ?? '', /^That was the last retry here: now it is tried elsewhere/);
  const again = storyOf({
    wish: { status: 'retrying', consecutive_failures: 2, errors: [error('name-b: SIGABRT')] },
    instance: { attempt: 3 },
    runners: [runner(0, 'loading'), runner(1, 'ready')],
  });
  assert.deepEqual(again.retries, { used: 2, most: 3 });
  assert.match(again.headline, /^It starts: loading on name-a/);
  const moving = storyOf({
    wish: {
      status: 'retrying',
      consecutive_failures: 4,
      avoided_nodes: ['b'],
      errors: [error('out of memory')],
    },
    instance: null,
  });
  assert.equal(moving.headline, 'It failed too often on name-b and goes to another place: out of memory.');
  const lost = storyOf({ wish: { status: 'retrying' }, nodes: { b: node('b', 10, { status: 'dead' }) } });
  assert.equal(lost.headline, 'name-b is gone, and its part of the model with it.');
});

test('R28, R29: what has no place and what was given up say why, machine by machine, and what to do', () => {
  const nodes = [{ node_id: 'a', name: 'name-a', reason: 'can hold 3 of 8 layers' }];
  const pending = state({
    wish: {
      status: 'pending',
      placement_error: { at: soon, message: 'It needs 40 GiB.', nodes },
      next_attempt_at: soon,
    },
    instance: null,
  });
  const [entry] = modelEntries(pending) as [ModelEntry];
  const story = entryStory(pending, entry, NOW);
  assert.deepEqual([story.status, story.headline], ['waiting', 'It needs 40 GiB.']);
  assert.match(story.advice ?? '', /starts by itself.*The next look is in 4\.0 s\.$/);
  const [problem] = problems(pending, modelEntries(pending), NOW);
  assert.equal(problem?.title, 'big is not served: there is no place for it');
  assert.deepEqual(problem?.nodes, nodes);
  const failed = storyOf({
    wish: { status: 'failed', consecutive_failures: 4, errors: [error('name-b: it cannot load')] },
    instance: null,
  });
  assert.equal(
    failed.headline,
    'It failed 4 times in a row and is not tried any more: name-b: it cannot load.',
  );
  assert.match(failed.advice ?? '', /press Retry/);
});

test('R51: machines that cannot meet are a problem of their own', () => {
  const fault = { code: 'runner_failed', message: 'no answer of rank 1', phase: 'connecting' };
  const page = state({
    wish: { status: 'retrying', consecutive_failures: 1, errors: [error('x')] },
    instance: { status: 'failing' },
    runners: [runner(0, 'failed', { error: fault }), runner(1, 'stopped')],
  });
  const [problem] = problems(page, modelEntries(page), NOW);
  assert.deepEqual(
    [problem?.title, problem?.text],
    ['big is not served: its machines could not meet', 'name-a: no answer of rank 1'],
  );
});

test('a plain instance says that it is not made again', () => {
  const gone = storyOf({ instance: { status: 'failing' }, nodes: { b: node('b', 10, { status: 'dead' }) } });
  assert.match(gone.advice ?? '', /run once and is not moved/);
  assert.equal(storyOf({ instance: { status: 'stopping' } }).status, 'stopping');
});

test('every status that there is, and one of a later version, has a story', () => {
  for (const status of [
    'pending',
    'placing',
    'starting',
    'ready',
    'retrying',
    'failed',
    'of a later version',
  ]) {
    for (const instance of [null, {}]) {
      assert.ok(storyOf({ wish: { status }, instance }).headline.length > 0, status);
    }
  }
});

const model = (id: string, gib: number | null, more: Partial<ModelEntryJson> = {}): ModelEntryJson => ({
  id,
  embedded: false,
  downloaded: true,
  size_bytes: 1,
  quantisation: 'Q8_0',
  parameters: 7_082_752,
  layers: 8,
  context_length: 2_048,
  memory: gib === null ? null : { total_bytes: gib * GIB },
  refusal: null,
  ...more,
});

test('R74: models are told apart by what fits now, over several machines, later, never', () => {
  // a has 2 of 8 GiB left, b 4 of 10.
  const page = state({ nodes: { c: node('c', 64, { status: 'dead', models: ['far', 'small'] }) } });
  const models = [
    model('never', 30),
    model('later', 9),
    model('together', 5),
    model('small', 3, { embedded: true }),
    model('broken', null, { refusal: 'no tensors' }),
    model('served elsewhere', null, { downloaded: false }),
  ];
  const choices = modelChoices(models, page);
  assert.deepEqual(
    choices.map(({ modelId, fit }) => [modelId, fit]),
    [
      ['small', 'now'],
      ['together', 'together'],
      ['later', 'later'],
      ['far', 'unknown'],
      ['never', 'never'],
      ['broken', 'refused'],
    ],
  );
  assert.deepEqual([choices[0]?.origin, choices[3]?.origin], ['comes with Shoal', 'file on another machine']);
  assert.deepEqual(choices[0]?.facts.slice(0, 2), ['7.1 M parameters', 'Q8_0']);
  assert.match(choices[0]?.why ?? '', /name-b has 4.* GiB free/);
  assert.match(choices[4]?.why ?? '', /2 machines offer 18.* GiB together/);
  assert.equal(modelChoices([model('x', 1)], { ...page, nodes: {} })[0]?.fit, 'never');
});

test('R41: an answer of placement has a row for each machine: what it takes, or why nothing', () => {
  const page = state();
  const memory = { weights_bytes: 3, cache_bytes: 2, overhead_bytes: 1 };
  const rows = nodeRows(page, {
    kind: 'placed',
    placement: {
      model_id: 'big',
      sharding: 'Pipeline',
      transport: 'Ring',
      context_length: 1,
      max_sequences: 1,
      cache_cells: 1,
      shards: [{ rank: 0, node_id: 'b', start_layer: 0, end_layer: 8, memory_bytes: 6, memory }],
      nodes: [
        {
          node_id: 'a',
          name: 'x',
          code: 'not_needed',
          reason: 'is not needed',
          offered_bytes: 10,
          free_bytes: 4,
        },
        { node_id: 'b', name: 'y', code: 'used', reason: 'takes all', offered_bytes: 10, free_bytes: 9 },
      ],
    },
  });
  assert.deepEqual(
    rows.map(({ name, isUsed, layers, takenBytes, neededBytes, tone }) => [
      name,
      isUsed,
      layers,
      takenBytes,
      neededBytes,
      tone,
    ]),
    [
      ['name-b', true, 'layers 0–7', 1, 6, 'good'],
      ['name-a', false, null, 6, 0, 'off'],
    ],
  );
  const fault = {
    code: 'placement_impossible',
    message: 'too large',
    status: 400,
    details: {
      can_fit_later: true,
      nodes: [{ node_id: 'gone', name: 'was here', code: 'dead', reason: 'is dead' }],
    },
  };
  const refused = readRefusal(new ApiError(fault));
  assert.ok(refused.kind === 'refused' && refused.canFitLater);
  assert.deepEqual(
    nodeRows(page, refused).map(({ name, short, tone }) => [name, short, tone]),
    [['was here', 'dead', 'warning']],
  );
  assert.equal(readRefusal(new ApiError({ code: 'not_ready', message: '', status: 503 })).kind, 'failed');
  assert.equal(readRefusal(new Error('no network')).kind, 'failed');
  assert.deepEqual(
    idleRows(page).map(({ takenBytes }) => takenBytes / GIB),
    [6, 6],
  );
  assert.notEqual(circumstancesOf(page), circumstancesOf({ ...page, instances: {} }));
});

test('a form is sent as the API wants it, and chosen machines say how many there are', () => {
  const form = { ...EMPTY_FORM, modelId: 'a b/c', minNodes: 2, contextLength: 512 };
  assert.deepEqual(wishBody(form), {
    model_id: 'a b/c',
    sharding: 'Pipeline',
    transport: 'Ring',
    min_nodes: 2,
    context_length: 512,
  });
  const chosen = toggleNode(toggleNode(form, 'n1'), 'n2');
  assert.deepEqual(wishBody(chosen).node_ids, ['n1', 'n2']);
  assert.equal('min_nodes' in wishBody(chosen), false);
  assert.equal(
    wishQuery(chosen),
    'model_id=a+b%2Fc&sharding=Pipeline&transport=Ring&node_ids=n1&node_ids=n2&context_length=512',
  );
  assert.deepEqual(toggleNode(chosen, 'n1').nodeIds, ['n2']);
});

test('R74: the way through a model follows its ranks, and ways between the same machines do not cover each other', () => {
  const shards = [shard('b', 1, 2), shard('a', 0, 2)];
  const paths = pipelinePaths(state({ instance: { shards } }));
  assert.deepEqual(paths[0]?.nodeIds, ['a', 'b']);
  const places = new Map([
    ['a', { x: 0, y: 0 }],
    ['b', { x: 100, y: 0 }],
  ]);
  const one = paths[0] as (typeof paths)[0];
  const arcs = arcsOf(
    [one, { ...one, instanceId: 'j' }, { ...one, instanceId: 'k', nodeIds: ['a', 'gone', 'b'] }],
    places,
  );
  assert.equal(arcs.length, 2);
  assert.deepEqual([arcs[0]?.angle, arcs[0]?.middle.x], [0, 50]);
  assert.notEqual(arcs[0]?.middle.y, arcs[1]?.middle.y);
  for (const id of ['', 'i', '🐟']) assert.ok(hueOf(id) >= 0 && hueOf(id) < HUES);
});
