/**
 * Keeps the page's state the same as the node's: the whole state once, then `/events` behind its index. A connection
 * that breaks, or says nothing for too long, is made anew after a growing pause and resumes where it was. Measured
 * values (memory, load, progress, links) are no events: they are asked for on their own, while somebody looks.
 */
import { TIMES } from '../../src/shared/limits.js';
import { ApiError, isUnauthorized, type NodeApi, type PageFault, toPageFault } from './api.js';
import { measured, type Replica, ReplicaView, readReplica, told } from './replica.js';
import {
  type LinkEntry,
  type NodeEntry,
  type PageState,
  type RunnerEntry,
  readMessage,
  readState,
  type WireEvent,
} from './wire.js';

export type Connection =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  /** `since` and `retryAt` in ms since the epoch. */
  | { readonly kind: 'lost'; readonly since: number; readonly retryAt: number; readonly fault: PageFault }
  | { readonly kind: 'needs_key'; readonly isWrong: boolean };

export interface FollowerComponents {
  readonly api: NodeApi;
  readonly hasKey: () => boolean;
  readonly now: () => number;
  /** Resolves after the time, or at once when the signal is aborted. */
  readonly wait: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  readonly onState: (state: PageState) => void;
  readonly onConnection: (connection: Connection) => void;
  readonly onEvent: (event: WireEvent, index: number) => void;
}

export interface FollowerOptions {
  /** First and longest pause before another try; it doubles in between. */
  readonly retryMs: number;
  readonly longestRetryMs: number;
  /** Silence after which the connection counts as lost; the node sends something every 10 s. */
  readonly silenceMs: number;
  /** Between two looks at the measured values. */
  readonly measureMs: number;
}

const FOLLOWER_OPTIONS: FollowerOptions = {
  retryMs: TIMES.dashboardRetryMs,
  longestRetryMs: TIMES.dashboardLongestRetryMs,
  silenceMs: TIMES.dashboardSilenceMs,
  measureMs: TIMES.dashboardMeasureMs,
};

/** The state must be fetched whole; no fault. */
class Resync extends Error {}

export class Follower {
  readonly #components: FollowerComponents;
  readonly #options: FollowerOptions;
  readonly #stop = new AbortController();
  readonly #view = new ReplicaView();
  #replica: Replica | null = null;
  /** Which run of the node the index belongs to. */
  #history: string | null = null;
  #lostSince: number | null = null;
  #failures = 0;
  /** Ends the pause before the next try. */
  #hurry = new AbortController();

  constructor(components: FollowerComponents, options: FollowerOptions = FOLLOWER_OPTIONS) {
    this.#components = components;
    this.#options = options;
  }

  /** Follows until `stop()`. */
  async run(): Promise<void> {
    this.#components.onConnection({ kind: 'connecting' });
    while (!this.#stop.signal.aborted) {
      try {
        await this.#follow();
        throw new Error('The node ended the stream of events.');
      } catch (error) {
        if (error instanceof Resync) this.#replica = null;
        else await this.#pause(error);
      }
    }
  }

  /** Looks at the measured values now and then while `isWatched` says so, until `stop()`. */
  async measure(isWatched: () => boolean): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#components.wait(this.#options.measureMs, signal);
      if (signal.aborted || this.#replica === null || this.#lostSince !== null || !isWatched()) continue;
      await this.#measureOnce();
    }
  }

  /** Tries at once, for instance with a new key. */
  retryNow(): void {
    this.#failures = 0;
    this.#hurry.abort();
  }

  stop(): void {
    this.#stop.abort();
    this.#hurry.abort();
  }

  async #follow(): Promise<void> {
    const { api, onEvent } = this.#components;
    const isResumed = this.#replica !== null;
    if (!isResumed) await this.#fetchState();
    const connection = new AbortController();
    const cut = () => connection.abort();
    this.#stop.signal.addEventListener('abort', cut, { once: true });
    let timer: ReturnType<typeof setTimeout> | undefined;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(cut, this.#options.silenceMs);
    };
    try {
      heard();
      const path = `/events?since=${this.#replica?.state.index ?? 0}`;
      const opened = (headers: Headers) => this.#connected(headers, isResumed);
      for await (const message of api.events('GET', path, undefined, connection.signal, {
        onHeaders: opened,
      })) {
        heard();
        if (message === null) continue;
        const news = readMessage(message.data);
        if (news === null) throw new Resync();
        if ('state' in news) {
          this.#set(readReplica(news.state));
          continue;
        }
        const current = this.#replica as Replica;
        const { index } = current.state;
        // What was told already, on a connection before.
        if (news.index <= index) continue;
        const next = news.index === index + 1 ? told(current, news.event) : null;
        onEvent(news.event, news.index);
        if (next === null) await this.#fetchState();
        else this.#set(next);
      }
    } finally {
      clearTimeout(timer);
      this.#stop.signal.removeEventListener('abort', cut);
      connection.abort();
    }
  }

  async #fetchState(): Promise<void> {
    const state = readState(await this.#components.api.json('GET', '/state'));
    if (state === null) throw new Error('The node answers, but not with a state.');
    this.#set(readReplica(state));
  }

  /** Behind the same address the node was started again, or another one: its indexes may stand for other events. */
  #connected(headers: Headers, isResumed: boolean): void {
    const history = headers.get('x-history-id');
    const isAnother = isResumed && history !== this.#history;
    this.#history = history;
    if (isAnother) throw new Resync();
    this.#failures = 0;
    this.#lostSince = null;
    this.#components.onConnection({ kind: 'live' });
  }

  async #pause(error: unknown): Promise<void> {
    const { now, wait, onConnection, hasKey } = this.#components;
    if (this.#stop.signal.aborted) return;
    this.#hurry = new AbortController();
    const { signal } = this.#hurry;
    if (isUnauthorized(error)) {
      onConnection({ kind: 'needs_key', isWrong: hasKey() });
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      return;
    }
    const { retryMs, longestRetryMs } = this.#options;
    const pauseMs = Math.min(longestRetryMs, retryMs * 2 ** this.#failures);
    this.#failures += 1;
    this.#lostSince ??= now();
    const fault = toPageFault(error);
    onConnection({ kind: 'lost', since: this.#lostSince, retryAt: now() + pauseMs, fault });
    await wait(pauseMs, signal);
  }

  async #measureOnce(): Promise<void> {
    const { api } = this.#components;
    try {
      const [nodes, runners, links] = await Promise.all([
        api.json<Record<string, NodeEntry>>('GET', '/state/nodes'),
        api.json<Record<string, RunnerEntry>>('GET', '/state/runners'),
        api.json<readonly LinkEntry[]>('GET', '/state/links'),
      ]);
      if (this.#replica !== null) this.#set(measured(this.#replica, nodes, runners, links));
    } catch (error) {
      // A node that does not answer is noticed, and shown, by the stream of events.
      if (!(error instanceof ApiError)) throw error;
    }
  }

  #set(replica: Replica): void {
    this.#replica = replica;
    this.#components.onState(this.#view.show(replica));
  }
}
