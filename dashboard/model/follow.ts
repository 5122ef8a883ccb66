/**
 * Keeps the page's state the same as the node's: the whole state once, then `/events` behind its index. A connection
 * that breaks, or says nothing for too long, is made anew after a growing pause and resumes where it was. Measured
 * values (memory, load, progress, links) are no events: they are asked for on their own, while somebody looks.
 */
import { TIMES } from '../../src/shared/limits.js';
import { ApiError, isUnauthorized, type NodeApi, type PageFault, toPageFault } from './api.js';
import { reduce } from './reduce.js';
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
  #state: PageState | null = null;
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
        if (error instanceof Resync) this.#state = null;
        else await this.#pause(error);
      }
    }
  }

  /** Looks at the measured values now and then while `isWatched` says so, until `stop()`. */
  async measure(isWatched: () => boolean): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#components.wait(this.#options.measureMs, signal);
      if (signal.aborted || this.#state === null || this.#lostSince !== null || !isWatched()) continue;
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
    if (this.#state === null) await this.#fetchState();
    else await this.#checkNode(this.#state);
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
      const path = `/events?since=${this.#state?.index ?? 0}`;
      const opened = () => this.#connected();
      for await (const message of api.events('GET', path, undefined, connection.signal, opened)) {
        heard();
        if (message === null) continue;
        const told = readMessage(message.data);
        if (told === null) throw new Resync();
        if ('state' in told) {
          this.#set(told.state);
          continue;
        }
        const current = this.#state as PageState;
        // What was told already, on a connection before.
        if (told.index <= current.index) continue;
        const next = told.index === current.index + 1 ? reduce(current, told.event, told.index) : null;
        onEvent(told.event, told.index);
        if (next === null) await this.#fetchState();
        else this.#set(next);
      }
    } finally {
      clearTimeout(timer);
      this.#stop.signal.removeEventListener('abort', cut);
      connection.abort();
    }
  }

  /** Behind the same address another node may have been started, with a history of its own. */
  async #checkNode({ node_id: known }: PageState): Promise<void> {
    const nodeId = await this.#components.api.json<string>('GET', '/node_id');
    if (known !== '' && nodeId !== known) throw new Resync();
  }

  async #fetchState(): Promise<void> {
    const state = readState(await this.#components.api.json('GET', '/state'));
    if (state === null) throw new Error('The node answers, but not with a state.');
    this.#set(state);
  }

  #connected(): void {
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
      if (this.#state !== null) this.#set(withMeasures(this.#state, nodes, runners, links));
    } catch (error) {
      // A node that does not answer is noticed, and shown, by the stream of events.
      if (!(error instanceof ApiError)) throw error;
    }
  }

  #set(state: PageState): void {
    this.#state = state;
    this.#components.onState(state);
  }
}

/** Only the measured fields: what is decided comes with the events, in their order. */
export function withMeasures(
  state: PageState,
  nodes: Readonly<Record<string, NodeEntry>>,
  runners: Readonly<Record<string, RunnerEntry>>,
  links: readonly LinkEntry[],
): PageState {
  const measuredNodes = Object.entries(state.nodes).map(([id, node]) => {
    const { memory, cpu, backends, api_url, last_seen } = nodes[id] ?? {};
    return [id, { ...node, ...present({ memory, cpu, backends, api_url, last_seen }) }];
  });
  const measuredRunners = Object.entries(state.runners).map(([id, runner]) => {
    const { progress, load } = runners[id] ?? {};
    return [id, { ...runner, ...present({ progress, load }) }];
  });
  return {
    ...state,
    links,
    nodes: Object.fromEntries(measuredNodes),
    runners: Object.fromEntries(measuredRunners),
  };
}

function present<Fields extends object>(fields: Fields): Partial<Fields> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as Partial<Fields>;
}
