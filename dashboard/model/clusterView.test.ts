/** What the page says of a cluster: nodes, shards, phases, wishes, links, the feed, the settings. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ERRORS } from '../../src/shared/errors.js';
import { FEED_TOPICS, feedLine, filterFeed } from './activity.js';
import { edges, failureOf, modelEntries, nodeCards, phaseOf, servedModels } from './clusterView.js';
import { isRetryable, nextStep } from './faultHelp.js';
import {
  formatAgo,
  formatBandwidth,
  formatDuration,
  formatLayers,
  formatRoundTrip,
  formatShare,
} from './format.js';
import { layoutCards } from './graphLayout.js';
import { type PageState, readState, type ShardEntry } from './wire.js';

const shard = (node: string, rank: number): ShardEntry => ({
  rank,
  world_size: 2,
  node_id: node,
  runner_id: `r${rank}`,
  start_layer: rank * 4,
  end_layer: rank * 4 + 4,
  memory_bytes: 100,
});

function sample(): PageState {
  const node = (id: string, status: string) => ({
    node_id: id,
    name: `name-${id}`,
    status,
    incarnation: 1,
    addresses: [],
  });
  const runner = (rank: number, more: object) => ({
    runner_id: `r${rank}`,
    instance_id: 'i',
    node_id: rank === 0 ? 'a' : 'b',
    rank,
    pid: 1,
    restarts: 1,
    restart_at: null,
    ...more,
  });
  const wish = {
    meta_instance_id: 'm',
    model_id: 'big',
    status: 'retrying',
    errors: [],
    node_ids: null,
    min_nodes: 2,
  };
  const state = readState({
    index: 1,
    node_id: 'b',
    master_node_id: 'a',
    nodes: {
      a: {
        ...node('a', 'alive'),
        memory: { total_bytes: 100, available_bytes: 40 },
        cpu: { cores: 4, load_average: 2 },
      },
      b: { ...node('b', 'suspect'), is_draining: true },
      c: { ...node('c', 'dead'), memory: { total_bytes: 100, available_bytes: 40 } },
    },
    links: [
      { from: 'a', to: 'b', rtt_us: 300, bandwidth_bytes_per_s: 1.2e9, interface_kind: 'ethernet' },
      { from: 'b', to: 'a', rtt_us: 200, bandwidth_bytes_per_s: 9e8 },
      { from: 'a', to: 'gone', rtt_us: 1 },
      { from: 'c', to: 'a', rtt_us: 1 },
    ],
    instances: {
      i: {
        instance_id: 'i',
        meta_instance_id: 'm',
        model_id: 'big',
        status: 'starting',
        shards: [shard('a', 0), shard('b', 1)],
      },
      p: { instance_id: 'p', meta_instance_id: null, model_id: 'alone', status: 'ready', shards: [] },
      o: { instance_id: 'o', meta_instance_id: 'lost', model_id: 'zeta', status: 'failing', shards: [] },
    },
    runners: {
      r0: runner(0, { status: 'loading', progress: 0.424 }),
      r1: runner(1, {
        status: 'failed',
        error: { code: 'runner_failed', message: 'gone', phase: 'warming_up' },
      }),
    },
    meta_instances: { m: wish },
    tasks: {},
  });
  assert.ok(state !== null);
  return state;
}

test('R74: a node shows name, memory, load, master mark, shards and how it is', () => {
  const cards = nodeCards(sample());
  assert.deepEqual(
    cards.map(({ name, status, isMaster, isSelf }) => [name, status, isMaster, isSelf]),
    [
      ['name-b', 'stopping', false, true],
      ['name-a', 'alive', true, false],
      ['name-c', 'dead', false, false],
    ],
  );
  const [, a, c] = cards;
  assert.deepEqual(a?.memory, { usedBytes: 60, totalBytes: 100 });
  assert.equal(a?.load, 0.5);
  assert.deepEqual([a?.shards[0]?.layers, a?.shards[0]?.modelId], ['layers 0–3', 'big']);
  assert.equal(c?.memory, null, 'what a dead node had is nobody’s');
});

test('R74: the phase of a runner has its progress, and a dead node takes its runners along', () => {
  const state = sample();
  const { done, ...phase } = phaseOf(state, shard('a', 0));
  assert.deepEqual(phase, { text: 'loading 42 %', tone: 'busy', progress: 0.424, isServing: false });
  assert.ok(done > 0.4 && done < 0.5, 'loading is the most of the way');
  assert.equal(phaseOf(state, shard('c', 0)).text, 'its node is gone');
  assert.equal(phaseOf(state, { ...shard('a', 0), runner_id: 'none' }).text, 'starting');
  const failure = failureOf(state, shard('b', 1));
  assert.deepEqual([failure?.nodeName, failure?.message, failure?.phase], ['name-b', 'gone', 'warming up']);
  assert.equal(failureOf(state, shard('a', 0)), null);
});

test('R74: one list has the wishes with their instances, and the plain instances', () => {
  const entries = modelEntries(sample());
  assert.deepEqual(
    entries.map(({ modelId, status, metaInstance, instances }) => [
      modelId,
      status,
      metaInstance !== null,
      instances.length,
    ]),
    [
      ['alone', 'ready', false, 1],
      ['big', 'retrying', true, 1],
      ['zeta', 'failing', false, 1],
    ],
  );
  assert.equal(servedModels(sample())[0]?.modelId, 'alone', 'what is ready comes first');
});

test('both directions of a link are one line, with the better round trip and the worse rate; ends that are gone have none', () => {
  const line = { from: 'a', to: 'b', rttUs: 200, kind: 'ethernet', bytesPerS: 9e8, rdma: false };
  assert.deepEqual(edges(sample()), [line]);
});

test('cards of the graph stand inside and never cover each other', () => {
  const card = { width: 200, height: 110, gap: 24 };
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 260, max: 2_000 }), (count, width) => {
      const layout = layoutCards(count, width, card);
      assert.equal(layout.places.length, count);
      for (const [index, place] of layout.places.entries()) {
        assert.ok(place.x >= card.width / 2 && place.x <= width - card.width / 2, `x ${place.x}`);
        assert.ok(place.y >= card.height / 2 && place.y <= layout.height - card.height / 2, `y ${place.y}`);
        for (const other of layout.places.slice(index + 1)) {
          const apart =
            Math.abs(place.x - other.x) >= card.width || Math.abs(place.y - other.y) >= card.height;
          assert.ok(apart, JSON.stringify([place, other, count, width]));
        }
      }
    }),
  );
});

test('the feed speaks of names, keeps failures apart, and takes events that it does not know', () => {
  const state = sample();
  const lines = [
    { kind: 'NodeStatusChanged', node_id: 'a', status: 'suspect' },
    { kind: 'InstanceDeleted', instance_id: 'p' },
    {
      kind: 'RunnerStatusChanged',
      runner: { runner_id: 'r1', status: 'failed', error: { message: 'SIGKILL' } },
    },
    { kind: 'TaskFinished', task_id: 't', instance_id: 'i', status: 'complete' },
    { kind: 'MetaInstanceCreated', meta_instance: {} },
  ].map((event, index) => feedLine(state, event, index, 0));
  assert.deepEqual(
    lines.map(({ text }) => text),
    [
      'name-a is suspect',
      'alone was deleted',
      'big on name-b: failed',
      'Request t: complete',
      'Meta instance created',
    ],
  );
  const all = { topics: new Set(FEED_TOPICS), onlyProblems: false, text: '' };
  assert.equal(filterFeed(lines, all)[0]?.text, 'Meta instance created', 'newest first');
  assert.deepEqual(
    filterFeed(lines, { ...all, onlyProblems: true }).map(({ index }) => index),
    [2, 0],
  );
  assert.deepEqual(
    filterFeed(lines, { ...all, text: 'sigkill' }).map(({ index }) => index),
    [2],
  );
  assert.deepEqual(
    filterFeed(lines, { ...all, topics: new Set(['requests']) }).map(({ index }) => index),
    [3],
  );
});

test('every code of the catalogue has a next step; one that is unknown has one too', () => {
  for (const code of Object.keys(ERRORS)) assert.ok(nextStep({ code }).length > 0, code);
  assert.ok(nextStep({ code: 'toString' }).startsWith('Try again'));
  assert.equal(isRetryable({ code: 'runner_failed' }), true);
  assert.equal(isRetryable({ code: 'invalid_request' }), false);
});

test('times and shares are short', () => {
  assert.deepEqual([340, 4_200, 61_000, 7_200_000, 200_000_000].map(formatDuration), [
    '340 ms',
    '4.2 s',
    '1 min',
    '2 h',
    '2 d',
  ]);
  assert.deepEqual(
    [formatAgo('2026-01-01T00:00:00Z', Date.parse('2026-01-01T00:00:05Z')), formatAgo('x', 0)],
    ['5.0 s ago', 'unknown'],
  );
  assert.equal(formatAgo('2026-01-01T00:00:09Z', Date.parse('2026-01-01T00:00:05Z')), 'now');
  assert.deepEqual(
    [formatRoundTrip(null), formatRoundTrip(240), formatRoundTrip(30_000)],
    ['not measured', '0.24 ms', '30 ms'],
  );
  assert.deepEqual([formatLayers(0, 8), formatLayers(3, 4)], ['layers 0–7', 'layer 3']);
  assert.equal(formatShare(1.2), '100 %');
  assert.deepEqual([999, 1_250_000, 117e6, 2.4e9].map(formatBandwidth), [
    '999 B/s',
    '1.3 MB/s',
    '117 MB/s',
    '2.4 GB/s',
  ]);
});
