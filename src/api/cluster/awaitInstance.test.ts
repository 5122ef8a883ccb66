import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../shared/limits.js';
import { startTestApi, TEST_STATE, type TestApi } from '../testing/testApi.js';
import { type AwaitMessage, awaitMessageSchema } from './instanceProgress.js';

const BOUND_MS = 15_000;

/** The state with one instance of `tiny` on two nodes, as its runners are. */
function stateWith(status: string, runners: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const shards = ['r1', 'r2'].map((runnerId, rank) => ({
    rank,
    world_size: 2,
    node_id: `n${rank + 1}`,
    runner_id: runnerId,
    start_layer: rank * 4,
    end_layer: rank * 4 + 4,
    memory_bytes: 64,
  }));
  const instance = {
    instance_id: 'i1',
    meta_instance_id: null,
    model_id: 'tiny',
    sharding: 'Pipeline',
    transport: 'Ring',
    attempt: 1,
    status,
    context_length: 4096,
    max_sequences: 16,
    shards,
  };
  return { ...TEST_STATE, instances: { i1: instance }, runners };
}

/** Follows a wait to its end; `onMessage` may change what the next look finds. */
async function follow(
  api: TestApi,
  query: string,
  onMessage: (message: AwaitMessage) => void = () => undefined,
): Promise<AwaitMessage[]> {
  const response = await fetch(`${api.url}/instance/await?${query}`, {
    signal: AbortSignal.timeout(BOUND_MS),
  });
  assert.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8');
  const messages: AwaitMessage[] = [];
  let text = '';
  for await (const chunk of (response.body as ReadableStream<Uint8Array>).pipeThrough(
    new TextDecoderStream(),
  )) {
    text += chunk;
    const parts = text.split('\n\n');
    text = parts.pop() ?? '';
    for (const part of parts) {
      const match = /^event: (\w+)\ndata: (.*)$/.exec(part);
      if (match === null) continue;
      const data: unknown = JSON.parse(match[2] as string);
      if (match[1] === 'error') throw new Error((data as { error: { code: string } }).error.code);
      const message = awaitMessageSchema.parse(data);
      assert.equal(message.type, match[1]);
      messages.push(message);
      onMessage(message);
    }
  }
  return messages;
}

async function withApi(work: (api: TestApi) => Promise<void>): Promise<void> {
  const api = await startTestApi();
  try {
    await work(api);
  } finally {
    await api.close();
  }
}

test('a wait tells each step once and ends with ready, not with mere existence', () =>
  withApi(async (api) => {
    const steps = [
      stateWith('starting', { r1: { status: 'loading', progress: 0.5 } }),
      stateWith('failing', {
        r1: { status: 'ready', progress: 1 },
        r2: { status: 'failed', error: { code: 'runner_failed', message: 'it was killed' } },
      }),
      stateWith('ready', { r1: { status: 'ready' }, r2: { status: 'ready' } }),
    ];
    const messages = await follow(api, 'model_id=tiny&timeout_s=10', () => {
      api.state = steps.shift() ?? api.state;
    });
    assert.deepEqual(
      messages.map(({ type }) => type),
      ['progress', 'progress', 'progress', 'ready'],
    );
    const [nothing, loading, failing, ready] = messages;
    assert.ok(nothing?.type === 'progress' && nothing.instances.length === 0, 'before it exists');
    assert.ok(loading?.type === 'progress' && failing?.type === 'progress' && ready?.type === 'ready');
    const told = loading.instances[0]?.runners.map((runner) => [
      runner.node_id,
      runner.status,
      runner.progress,
    ]);
    assert.deepEqual(told, [
      ['n1', 'loading', 0.5],
      ['n2', null, null],
    ]);
    assert.deepEqual(failing.instances[0]?.runners[1]?.error, {
      code: 'runner_failed',
      message: 'it was killed',
    });
    assert.equal(ready.instance_id, 'i1');
  }));

test('a wait ends with timeout and what there was by then; 0 looks once', () =>
  withApi(async (api) => {
    assert.deepEqual(
      (await follow(api, 'model_id=none&timeout_s=0')).map((message) => [message.type, message.model_id]),
      [['timeout', 'none']],
    );
    api.state = stateWith('starting', { r1: { status: 'loading', progress: 0.1 } });
    const messages = await follow(api, 'model_id=tiny&timeout_s=0.3');
    assert.deepEqual(
      messages.map(({ type }) => type),
      ['progress', 'timeout'],
    );
    api.state = stateWith('ready', {});
    assert.deepEqual(
      (await follow(api, 'model_id=tiny&timeout_s=0')).map(({ type }) => type),
      ['ready'],
    );
  }));

test('R29: a wait for what has no place tells the reason of each node, and ends all the same', () =>
  withApi(async (api) => {
    const nodes = [{ node_id: 'n1', name: 'desk', reason: 'has 1.0 GiB free' }];
    const at = '2026-01-01T00:00:00.000Z';
    const wish = {
      meta_instance_id: 'm1',
      model_id: 'tiny',
      sharding: 'Pipeline',
      transport: 'Ring',
      min_nodes: null,
      node_ids: null,
      status: 'pending',
      consecutive_failures: 0,
      max_retries: 3,
      errors: [],
      placement_error: { at, message: 'tiny needs 5.0 GiB', nodes },
      next_attempt_at: at,
      created_at: at,
    };
    const other = { ...wish, meta_instance_id: 'm2', model_id: 'other' };
    api.state = { ...TEST_STATE, meta_instances: { m1: wish, m2: other } };
    const messages = await follow(api, 'model_id=tiny&timeout_s=0.3');
    assert.deepEqual(
      messages.map((message) => [message.type, message.type === 'ready' ? null : message.meta_instances]),
      [
        ['progress', [wish]],
        ['timeout', [wish]],
      ],
    );
  }));

test('a node without a master does not call an old state ready', () =>
  withApi(async (api) => {
    api.state = stateWith('ready', {});
    api.notReady = 'it looks for a master';
    const messages = await follow(api, 'model_id=tiny&timeout_s=10', (message) => {
      if (message.type === 'progress') assert.equal(message.not_ready_reason, 'it looks for a master');
      api.notReady = null;
    });
    assert.deepEqual(
      messages.map(({ type }) => type),
      ['progress', 'ready'],
    );
  }));

test('R9: however many wait, the state is made once for all of them in each look', () =>
  withApi(async (api) => {
    const count = 16;
    let { state } = api;
    let looks = 0;
    Object.defineProperty(api, 'state', {
      get: () => {
        looks += 1;
        return state;
      },
    });
    let told = 0;
    const onMessage = ({ type }: AwaitMessage) => {
      told += 1;
      if (type === 'ready' || told < count) return;
      looks = 0;
      state = stateWith('ready', { r1: { status: 'ready' }, r2: { status: 'ready' } });
    };
    const waits = Array.from({ length: count }, () => follow(api, 'model_id=tiny&timeout_s=60', onMessage));
    const ends = (await Promise.all(waits)).map((messages) => messages.at(-1)?.type);
    assert.deepEqual(new Set(ends), new Set(['ready']));
    assert.ok(looks < count, `${looks} looks for ${count} readers`);
  }));

test('a stopping node ends waits with not_ready', () =>
  withApi(async (api) => {
    const waiting = follow(api, 'model_id=tiny', () => void api.close());
    await assert.rejects(waiting, /not_ready/);
  }));

test('wrong waits are refused, and more readers than allowed as well; one that leaves makes room', () =>
  withApi(async (api) => {
    for (const query of [
      '',
      'model_id=',
      'model_id=a&timeout_s=-1',
      'model_id=a&timeout_s=x',
      'model_id=a&wait=1',
    ]) {
      const response = await fetch(`${api.url}/instance/await?${query}`, {
        signal: AbortSignal.timeout(BOUND_MS),
      });
      await response.text();
      assert.equal(response.status, 400, query);
    }
    const leaving = new AbortController();
    const signal = AbortSignal.any([leaving.signal, AbortSignal.timeout(BOUND_MS)]);
    const wait = () => fetch(`${api.url}/instance/await?model_id=tiny`, { signal });
    const waits = await Promise.all(Array.from({ length: LIMITS.instanceWaiters }, wait));
    assert.ok(waits.every(({ status }) => status === 200));
    const refused = await wait();
    assert.equal(refused.status, 429);
    await refused.text();
    leaving.abort();
    const roomBy = Date.now() + BOUND_MS;
    for (;;) {
      const response = await fetch(`${api.url}/instance/await?model_id=tiny&timeout_s=0`);
      await response.text();
      if (response.status === 200) return;
      assert.ok(Date.now() < roomBy, 'places of readers that left are free again');
    }
  }));
