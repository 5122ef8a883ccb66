/** The page's one picture of the cluster, kept up to date by the follower; and calls to the node. */
import { LIMITS, TIMES } from '../../src/shared/limits.js';
import { type FeedLine, feedLine } from '../model/activity.js';
import { NodeApi } from '../model/api.js';
import { type Connection, Follower } from '../model/follow.js';
import type { PageState, WireEvent } from '../model/wire.js';
import { readSession, writeSession } from './storage.js';

const KEY = 'shoal.apiKey';
const CLOCK_MS = 1_000;

class Cluster {
  state = $state.raw<PageState | null>(null);
  connection = $state.raw<Connection>({ kind: 'connecting' });
  feed = $state.raw<readonly FeedLine[]>([]);
  /** Methods and paths that this node has, such as `delete /instance/{}`. */
  routes = $state.raw<ReadonlySet<string>>(new Set());
  /** The time, for what is said relative to it; goes on every second. */
  now = $state(Date.now());
  needsKey = $state(readSession(KEY) !== null);

  readonly api = new NodeApi(
    { fetch: (...call) => fetch(...call), key: () => readSession(KEY) || null },
    { url: '', answerMs: TIMES.dashboardAnswerMs },
  );
  readonly #follower: Follower;
  #queued: PageState | null = null;
  #changes: { readonly event: WireEvent; readonly index: number; readonly before: PageState }[] = [];
  #isDrawing = false;

  constructor() {
    this.#follower = new Follower({
      api: this.api,
      hasKey: () => (readSession(KEY) ?? '') !== '',
      now: () => Date.now(),
      wait,
      onState: (state) => this.#show(state),
      onConnection: (connection) => this.#connectionChanged(connection),
      onEvent: (event, index) => {
        const before = this.#queued ?? this.state;
        if (before !== null) this.#changes.push({ event, index, before });
        if (this.#changes.length > LIMITS.dashboardFeedLines) this.#changes.shift();
      },
    });
  }

  start(): void {
    void this.#follower.run();
    void this.#follower.measure(() => !document.hidden);
    setInterval(() => {
      this.now = Date.now();
    }, CLOCK_MS);
    // A laptop that was asleep, or a tab that comes back, need not wait for the next try.
    addEventListener('online', () => this.#follower.retryNow());
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden && this.connection.kind === 'lost') this.#follower.retryNow();
    });
  }

  useKey(key: string): void {
    writeSession(KEY, key);
    this.needsKey = true;
    this.#follower.retryNow();
  }

  retryNow(): void {
    this.#follower.retryNow();
  }

  /** A burst of events is drawn once. A hidden page has no frames, so it is drawn by the clock. */
  #show(state: PageState): void {
    this.#queued = state;
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    const draw = () => this.#draw();
    if (document.hidden) setTimeout(draw, CLOCK_MS);
    else requestAnimationFrame(draw);
  }

  #draw(): void {
    this.#isDrawing = false;
    const heardAt = Date.now();
    this.state = this.#queued;
    if (this.#changes.length === 0) return;
    const lines = this.#changes.map(({ before, event, index }) => feedLine(before, event, index, heardAt));
    this.#changes = [];
    this.feed = [...this.feed, ...lines].slice(-LIMITS.dashboardFeedLines);
  }

  #connectionChanged(connection: Connection): void {
    const wasLive = this.connection.kind === 'live';
    this.connection = connection;
    if (connection.kind === 'needs_key') this.needsKey = true;
    if (connection.kind === 'live' && !wasLive) void this.#learnRoutes();
  }

  /** After every new connection: the node may have another version by then. */
  async #learnRoutes(): Promise<void> {
    try {
      const { paths } = await this.api.json<{ paths: Record<string, object> }>('GET', '/openapi.json');
      const found = Object.entries(paths).flatMap(([path, methods]) =>
        Object.keys(methods).map((method) => `${method} ${path.replace(/\{\w+\}/g, '{}')}`),
      );
      this.routes = new Set(found);
    } catch (error) {
      console.warn('The page does not know which routes the node has.', error);
    }
  }
}

function wait(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', done, { once: true });
  });
}

export const cluster = new Cluster();
