/**
 * How many bytes a second go over each link of this node: measured by a short burst when the link is new, and then
 * rarely. One burst at a time, on both ends, so that none is slowed by another; a small one first, so that a slow link
 * is never filled for long; and when there is nothing else to do, unless that does not come.
 */
import { ShoalError } from '../shared/errors.js';
import type { NodeId } from '../shared/ids.js';
import { LIMITS, TIMES } from '../shared/limits.js';
import type { Calls } from './calls/calls.js';
import { tooManyStreams } from './calls/fault.js';
import type { LinkedPeer, PeerLinks } from './link/contract.js';

/** Name of the call: first whether it may be put off, as `{isPatient}`, and then any bytes → null. */
const BURST_CALL = 'burst';

/** Each is sent when the one before was over sooner than can be measured well. */
const BURST_BYTES = [64 * 1024, 512 * 1024, LIMITS.linkBurstBytes] as const;
/** What a body takes beside its bytes. */
const BODY_OVERHEAD_BYTES = 64;
const MS_PER_S = 1_000;

export interface LinkSpeedsComponents {
  readonly calls: Pick<Calls, 'call' | 'serve'>;
  readonly links: Pick<PeerLinks, 'peers'>;
  /** Has this node no request, and nothing to load? */
  readonly isIdle: () => boolean;
  /** Monotonic, in milliseconds. @default performance.now */
  readonly now?: () => number;
}

export interface LinkSpeedsOptions {
  /** @default TIMES.linkSpeedLookMs */
  readonly lookMs?: number;
}

interface Measured {
  readonly bytesPerSecond: number | null;
  /** When it is to be measured, and, where that was put off since, when it is tried again. */
  readonly dueAt: number;
  readonly tryAt: number;
}

export class LinkSpeeds {
  readonly #components: LinkSpeedsComponents;
  readonly #now: () => number;
  readonly #lookMs: number;
  readonly #ended = new AbortController();
  /** By the link: the next one to the same node may be another way. */
  readonly #measured = new WeakMap<LinkedPeer, Measured>();
  #isMeasuring = false;
  #ticker: NodeJS.Timeout | undefined;

  constructor(components: LinkSpeedsComponents, options: LinkSpeedsOptions = {}) {
    this.#components = components;
    this.#lookMs = options.lookMs ?? TIMES.linkSpeedLookMs;
    this.#now = components.now ?? (() => performance.now());
    components.calls.serve(BURST_CALL, (_, body) => this.#receive(body), {
      bodyLimitBytes: LIMITS.linkBurstBytes + BODY_OVERHEAD_BYTES,
    });
  }

  /** Bytes a second; null when it was not measured yet. */
  of(peer: LinkedPeer): number | null {
    return this.#measured.get(peer)?.bytesPerSecond ?? null;
  }

  start(): void {
    this.#ticker = setInterval(() => this.#look(), this.#lookMs);
  }

  close(): void {
    clearInterval(this.#ticker);
    this.#ended.abort(new ShoalError('cancelled', 'the node stops'));
  }

  /** What comes while this end sends is told to come again, as is the announcement of a burst while there are requests. */
  #receive(body: unknown): null {
    const { isPatient } = (body ?? {}) as Record<string, unknown>;
    const isUnwelcome = isPatient === true && !this.#components.isIdle();
    if (this.#isMeasuring || isUnwelcome) throw ShoalError.fromFault(tooManyStreams(1));
    return null;
  }

  #look(): void {
    if (this.#isMeasuring) return;
    const now = this.#now();
    for (const peer of this.#components.links.peers.values()) {
      const known = this.#measured.get(peer);
      if (known === undefined) this.#plan(peer, null, this.#lookMs);
      else if (now >= known.tryAt) {
        const isPatient = now - known.dueAt < TIMES.linkSpeedPatienceMs;
        if (isPatient && !this.#components.isIdle()) continue;
        void this.#measure(peer, known, isPatient);
        return;
      }
    }
  }

  async #measure(peer: LinkedPeer, known: Measured, isPatient: boolean): Promise<void> {
    this.#isMeasuring = true;
    try {
      this.#plan(peer, await this.#burst(peer.nodeId, isPatient), TIMES.linkSpeedAgeMs);
    } catch {
      // The other end is busy, or gone, or of a version that does not know the call: what is known stays.
      this.#measured.set(peer, { ...known, tryAt: this.#later(TIMES.linkSpeedRetryMs) });
    } finally {
      this.#isMeasuring = false;
    }
  }

  #plan(peer: LinkedPeer, bytesPerSecond: number | null, afterMs: number): void {
    const dueAt = this.#later(afterMs);
    this.#measured.set(peer, { bytesPerSecond, dueAt, tryAt: dueAt });
  }

  /** Two ends that wait for each other, or many that began together, must not come together again. */
  #later(ms: number): number {
    return this.#now() + ms * (1 + Math.random());
  }

  async #burst(to: NodeId, isPatient: boolean): Promise<number> {
    // The shorter of two: were only one disturbed, the bytes would seem to take no time at all.
    const first = await this.#send(to, { isPatient });
    const besideMs = Math.min(first, await this.#send(to, { isPatient }));
    let bytesPerSecond = 0;
    for (const sizeBytes of BURST_BYTES) {
      const tookMs = (await this.#send(to, Buffer.alloc(sizeBytes))) - besideMs;
      bytesPerSecond = (sizeBytes * MS_PER_S) / Math.max(tookMs, 1 / MS_PER_S);
      if (tookMs >= TIMES.linkBurstMs) break;
    }
    return bytesPerSecond;
  }

  /** Milliseconds until the other end has it all. */
  async #send(to: NodeId, body: unknown): Promise<number> {
    const startedAt = this.#now();
    await this.#components.calls.call(to, BURST_CALL, body, {
      bodyLimitBytes: LIMITS.linkBurstBytes + BODY_OVERHEAD_BYTES,
      signal: this.#ended.signal,
    });
    return this.#now() - startedAt;
  }
}
