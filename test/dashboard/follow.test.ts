/** The page's follower against a real API: live, resumed after a break, begun anew when told to, asking for a key. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { NodeApi } from '../../dashboard/model/api.js';
import { type Connection, Follower, type FollowerOptions } from '../../dashboard/model/follow.js';
import type { PageState, WireEvent } from '../../dashboard/model/wire.js';
import type { ControlMessage } from '../../src/api/ports.js';
import { eventually, startTestApi, TEST_STATE, type TestApi } from '../../src/api/testing/testApi.js';

const FAST: FollowerOptions = { retryMs: 5, longestRetryMs: 40, silenceMs: 300, measureMs: 5 };
const bound = { timeout: 30_000 };
const joined = (id: string) => ({
  kind: 'NodeJoined',
  node: { node_id: id, name: id, incarnation: 1, addresses: [] },
});

class Watcher {
  states: PageState[] = [];
  connections: Connection[] = [];
  events: WireEvent[] = [];
  key: string | null = null;
  readonly requested: string[] = [];
  readonly follower: Follower;
  readonly #done: Promise<unknown>;

  constructor(url: () => string, options = FAST) {
    const follow: typeof fetch = (path, init) => {
      this.requested.push(String(path));
      return fetch(url() + String(path), init);
    };
    const api = new NodeApi({ fetch: follow, key: () => this.key }, { url: '', answerMs: 5_000 });
    this.follower = new Follower(
      {
        api,
        hasKey: () => this.key !== null,
        now: () => Date.now(),
        wait: (milliseconds, signal) => sleep(milliseconds, undefined, { signal }).catch(() => undefined),
        onState: (state) => this.states.push(state),
        onConnection: (connection) => this.connections.push(connection),
        onEvent: (event) => this.events.push(event),
      },
      options,
    );
    this.#done = Promise.all([this.follower.run(), this.follower.measure(() => true)]);
  }

  get last(): PageState {
    return this.states.at(-1) as PageState;
  }

  get kind(): string | undefined {
    return this.connections.at(-1)?.kind;
  }

  async stop(): Promise<void> {
    this.follower.stop();
    await this.#done;
  }
}

async function watched(
  run: (api: TestApi, watcher: Watcher) => Promise<void>,
  options: Parameters<typeof startTestApi>[0] = {},
  follower = FAST,
) {
  const api = await startTestApi(options);
  const watcher = new Watcher(() => api.url, follower);
  try {
    await run(api, watcher);
  } finally {
    await watcher.stop();
    await api.close();
  }
}

function tell(api: TestApi, index: number, event: Record<string, unknown>): void {
  for (const follower of api.followers) follower({ index, event });
}

test('R74: what happens is on the page without asking for the state again', bound, () =>
  watched(async (api, watcher) => {
    await eventually(() => api.followers.size === 1 && watcher.kind === 'live');
    // The in-memory view tells one event of its own to whoever resumes.
    await eventually(() => watcher.last.index === 8);
    tell(api, 9, joined('n2'));
    await eventually(() => watcher.last.nodes.n2?.status === 'alive');
    assert.equal(watcher.last.index, 9);
    tell(api, 9, joined('twice'));
    tell(api, 10, joined('n3'));
    await eventually(() => watcher.last.index === 10);
    assert.equal(watcher.last.nodes.twice, undefined, 'an index is told once');
  }),
);

test('a gap, an unknown event and garbage bring the whole state', bound, () =>
  watched(async (api, watcher) => {
    await eventually(() => api.followers.size === 1);
    api.state = { ...TEST_STATE, index: 20, master_node_id: 'gap' };
    await toldUntil(
      () => tell(api, 20, joined('n2')),
      () => watcher.last.master_node_id === 'gap',
    );
    api.state = { ...TEST_STATE, index: 21, master_node_id: 'unknown' };
    await toldUntil(
      () => tell(api, 21, { kind: 'OfALaterVersion' }),
      () => watcher.last.master_node_id === 'unknown',
    );
    assert.equal(watcher.events.at(-1)?.kind, 'OfALaterVersion', 'the feed shows it all the same');
    const older = { ...TEST_STATE, index: 3, master_node_id: 'older' };
    await toldUntil(
      () => tellAll(api, { index: 3, state: older }),
      () => watcher.last.master_node_id === 'older',
    );
    api.state = { ...TEST_STATE, index: 30, master_node_id: 'garbage' };
    await toldUntil(
      () => tellAll(api, { index: 4, event: { no: 'kind' } }),
      () => watcher.last.master_node_id === 'garbage',
    );
  }),
);

/** Says it again and again: a page that has just fetched the whole state may not listen yet. */
function toldUntil(say: () => void, isSo: () => boolean): Promise<void> {
  let looks = 0;
  return eventually(() => {
    if (!isSo() && looks % LOOKS_BETWEEN === 0) say();
    looks += 1;
    return isSo();
  });
}

const LOOKS_BETWEEN = 40;

function tellAll(api: TestApi, message: ControlMessage): void {
  for (const follower of api.followers) follower(message);
}

test(
  'R74: a node that goes is shown as lost; when it is back the page resumes where it was',
  bound,
  async () => {
    let api = await startTestApi();
    const watcher = new Watcher(() => api.url);
    try {
      await eventually(() => watcher.kind === 'live');
      await api.close();
      await eventually(() => watcher.kind === 'lost');
      const lost = watcher.connections.at(-1);
      assert.ok(lost?.kind === 'lost' && lost.retryAt >= lost.since);
      const { index } = watcher.last;
      api = await startTestApi();
      await eventually(() => watcher.kind === 'live');
      assert.ok(watcher.requested.includes(`/events?since=${index}`));
      assert.equal(
        watcher.requested.filter((path) => path === '/state').length,
        1,
        'the state was asked for once',
      );
    } finally {
      await watcher.stop();
      await api.close();
    }
  },
);

test(
  'a node that was started again, or another one behind its address, is read anew, whatever its index',
  bound,
  async () => {
    let api = await startTestApi({ historyId: 'before' });
    api.state = { ...TEST_STATE, node_id: 'the one before', master_node_id: 'before' };
    const watcher = new Watcher(() => api.url);
    try {
      for (const index of [8, 3, 50]) {
        await eventually(() => watcher.kind === 'live');
        await api.close();
        api = await startTestApi({ historyId: `from ${index}` });
        api.state = { ...TEST_STATE, index, node_id: 'n1', nodes: { [`n${index}`]: { node_id: 'x' } } };
        await eventually(() => watcher.last.nodes[`n${index}`] !== undefined);
        assert.deepEqual(Object.keys(watcher.last.nodes), [`n${index}`]);
      }
    } finally {
      await watcher.stop();
      await api.close();
    }
  },
);

test('a node that freezes is noticed by its silence', bound, () =>
  watched(
    async (_api, watcher) => {
      await eventually(() => watcher.kind === 'live');
      await eventually(() => watcher.kind === 'lost');
    },
    { api: { keepAliveMs: 60_000 } },
    { ...FAST, silenceMs: 50 },
  ),
);

test('R73: without a key the page asks for one, and goes on with the right one', bound, () =>
  watched(
    async (_api, watcher) => {
      await eventually(() => watcher.kind === 'needs_key');
      watcher.key = 'wrong';
      watcher.follower.retryNow();
      await eventually(() => {
        const now = watcher.connections.at(-1);
        return now?.kind === 'needs_key' && now.isWrong;
      });
      watcher.key = 'right';
      watcher.follower.retryNow();
      await eventually(() => watcher.kind === 'live');
    },
    { api: { apiKeys: ['right'] } },
  ),
);

test('measured values are looked at on their own, and never change what was decided', bound, async () => {
  await watched(async (api, watcher) => {
    await eventually(() => watcher.kind === 'live');
    const memory = { total_bytes: 64, available_bytes: 1 };
    api.state = { ...TEST_STATE, links: [], nodes: { n1: { node_id: 'n1', status: 'dead', memory } } };
    await eventually(() => watcher.last.nodes.n1?.memory?.available_bytes === 1);
    assert.notEqual(watcher.last.nodes.n1?.status, 'dead');
  });
});
